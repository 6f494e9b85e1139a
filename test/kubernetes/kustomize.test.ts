/** The base and its overlays, by the kustomize in kubectl. */

import { cp, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments, stringify } from "yaml";
import type { Json } from "../support/modern-client.ts";
import { dangling } from "./dangling.ts";
import { type Document, ofKind, only, podOf } from "./documents.ts";
import { wrongFields, wrongValues } from "./faults.ts";
import { expectSafePod } from "./pod.ts";
import { built, KUSTOMIZE, rendered, runKubectl, temporaryFolder, withoutKubernetes } from "./programs.ts";

const FOLDERS = ["base", "overlays/companion", "overlays/replicas", "overlays/sidecar"];

describe.skipIf(withoutKubernetes())("kustomize", () => {
  test.each(FOLDERS)("what it makes of %s is good", async (folder) => {
    const documents = built(join(KUSTOMIZE, folder));
    expect(await wrongValues(documents)).toEqual([]);
    expect(dangling(documents)).toEqual([]);
    expectSafePod(documents);
    expect(new Set(documents.map(({ metadata }) => metadata.namespace))).toEqual(new Set(["tools"]));
  });

  test("with the components as well, and no document has a field that does not exist", async () => {
    const withComponents = await Promise.all(
      ["companion", "replicas"].map((overlay) =>
        kustomized({ resources: [`overlays/${overlay}`], components: ["http-route", "pod-monitor"] }),
      ),
    );
    for (const documents of withComponents) {
      expect(await wrongValues(documents)).toEqual([]);
      expect(dangling(documents)).toEqual([]);
      expect(only(documents, "HTTPRoute").spec.rules[0].timeouts).toEqual({ request: "0s" });
      expect(ofKind(documents, "PodMonitor")).toHaveLength(1);
    }
    const all = FOLDERS.flatMap((folder) => built(join(KUSTOMIZE, folder)));
    expect(await wrongFields([...all, ...withComponents.flat()])).toBe("");
  });

  test.each(["companion", "replicas"])("%s is what the chart makes", async (example) => {
    const chart = await rendered(
      { httpRoute: { enabled: false }, monitor: { kind: "none" } },
      {
        examples: [example],
      },
    );
    const overlay = built(join(KUSTOMIZE, "overlays", example));
    expect(comparable(overlay)).toEqual(comparable(chart));
  });

  test("the image is where its one line says", async () => {
    const images = [{ name: "mcp-taskgate", newName: "registry.example.com/taskgate", newTag: "1.2.3" }];
    const documents = await kustomized({ resources: ["overlays/companion"], images });
    expect(podOf(documents).gateway.image).toBe("registry.example.com/taskgate:1.2.3");
  });

  describe("a sidecar in somebody else's Deployment", () => {
    test("leaves all that is theirs, and the Service leads to the gateway", async () => {
      const documents = await withSidecar(THEIRS);
      expect(await wrongValues(documents)).toEqual([]);
      expect(await wrongFields(documents)).toBe("");
      expect(dangling(documents)).toEqual([]);
      expectSafePod(documents);
      const { spec } = only(documents, "Deployment");
      // One pod at a time: the store belongs to one gateway.
      expect(spec).toMatchObject({ replicas: 1, strategy: { type: "Recreate" } });
      expect(spec.strategy).not.toHaveProperty("rollingUpdate");
      const { template } = spec;
      const theirs = template.spec.containers.find(({ name }: Json) => name === "reports");
      const [before, helper] = THEIRS.spec.template.spec.containers;
      expect(theirs).toEqual({
        ...before,
        lifecycle: { ...before?.lifecycle, preStop: { sleep: { seconds: 25 } } },
      });
      expect(template.spec.containers).toContainEqual(helper);
      expect(template.spec.initContainers).toEqual(THEIRS.spec.template.spec.initContainers);
      expect(template.spec.volumes).toEqual(expect.arrayContaining(THEIRS.spec.template.spec.volumes));
      expect(template.spec.securityContext).toMatchObject(THEIRS.spec.template.spec.securityContext);
      expect(template.metadata).toMatchObject(THEIRS.spec.template.metadata);
      const [port] = only(documents, "Service").spec.ports;
      expect(port).toMatchObject({ port: 3001, targetPort: "taskgate" });
    });

    test("kubectl patch makes the same of it", async () => {
      const folder = await temporaryFolder({ "theirs.json": JSON.stringify(THEIRS) });
      const patch = join(KUSTOMIZE, "overlays/sidecar/gateway.yaml");
      const files = ["--filename", join(folder, "theirs.json"), "--patch-file", patch];
      const { stdout, stderr } = runKubectl(
        "patch",
        "--local",
        ...files,
        "--type",
        "strategic",
        "-o",
        "yaml",
      );
      expect(stderr).toBe("");
      const [patched, kustomized] = [
        parse(stdout) as Document,
        only(await withSidecar(THEIRS), "Deployment"),
      ].map(({ spec }) => spec.template.spec);
      expect(withoutTag(patched)).toEqual(withoutTag(kustomized));
    });
  });
});

/** What another team has: with a rollout of its own, and names and ports that a careless patch would take. */
const THEIRS = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "reports", labels: { app: "reports" } },
  spec: {
    replicas: 3,
    strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    selector: { matchLabels: { app: "reports" } },
    template: {
      metadata: { labels: { app: "reports", team: "finance" }, annotations: { "example.com/a": "b" } },
      spec: {
        securityContext: { runAsUser: 1000, seccompProfile: { type: "RuntimeDefault" } },
        initContainers: [{ name: "migrate", image: "reports:1" }],
        containers: [
          {
            name: "reports",
            image: "reports:1",
            ports: [{ name: "http", containerPort: 3001 }],
            env: [{ name: "MODE", value: "fast" }],
            lifecycle: { postStart: { exec: { command: ["true"] } } },
            volumeMounts: [{ name: "data", mountPath: "/data" }],
          },
          { name: "metrics", image: "metrics:1", ports: [{ name: "metrics", containerPort: 9100 }] },
        ],
        volumes: [
          { name: "data", emptyDir: {} },
          { name: "config", configMap: { name: "reports-taskgate" } },
        ],
      },
    },
  },
};

/** The sidecar overlay with a Deployment in the place of the stand-in's. */
async function withSidecar(deployment: Json): Promise<readonly Document[]> {
  const folder = await temporaryFolder({});
  await cp(join(KUSTOMIZE, "overlays/sidecar"), folder, { recursive: true });
  const file = join(folder, "server.yaml");
  const [, service] = parseAllDocuments(await readFile(file, "utf8"));
  await writeFile(file, `${stringify(deployment)}---\n${service}`);
  return built(folder);
}

/** What a kustomization of a user's own makes, which refers to folders of ours. */
async function kustomized(kustomization: {
  readonly resources: readonly string[];
  readonly components?: readonly string[];
  readonly images?: Json;
}): Promise<readonly Document[]> {
  const folder = await temporaryFolder({});
  const at = (path: string) => relative(folder, join(KUSTOMIZE, path));
  const { resources, components = [] } = kustomization;
  const text = stringify({
    ...kustomization,
    resources: resources.map(at),
    components: components.map((name) => at(`components/${name}`)),
  });
  await writeFile(join(folder, "kustomization.yaml"), text);
  return built(folder);
}

/** Documents without what belongs to a release of helm, or is only an example: labels, variables, the configuration. */
function comparable(documents: readonly Document[]): Json {
  const ours = documents.filter(({ kind }) => kind !== "ConfigMap");
  const text = JSON.stringify(ours, (key, value) =>
    /^(helm\.sh|app\.kubernetes\.io)\/(?!name)|^(labels|annotations|env)$/.test(key) && key !== "matchLabels"
      ? undefined
      : value,
  );
  return Object.fromEntries(JSON.parse(text).map((document: Document) => [document.kind, document]));
}

/** What the kustomization alone knows. */
function withoutTag(pod: Json): Json {
  return JSON.parse(JSON.stringify(pod).replace("mcp-taskgate:0.1.0", "mcp-taskgate"));
}
