/** The chart, by helm itself: what it makes of values, and what it refuses. */

import { readFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { parseConfig } from "../../src/config/load.ts";
import { renewed } from "../../src/config/restart.ts";
import type { Json } from "../support/modern-client.ts";
import { dangling } from "./dangling.ts";
import { ofKind, only, podOf } from "./documents.ts";
import { wrongFields, wrongValues } from "./faults.ts";
import { expectSafePod, mounted } from "./pod.ts";
import {
  CHART,
  documentsOf,
  rendered,
  runHelm,
  template,
  temporaryFolder,
  type Values,
  withoutKubernetes,
} from "./programs.ts";
import { CONTRADICTIONS, UNKNOWN } from "./refused-values.ts";
import { GOOD } from "./values.ts";

const servers = { reports: { upstream: { url: "http://reports:3001/mcp" } } };
const chart = parse(readFileSync(join(CHART, "Chart.yaml"), "utf8"));

describe.skipIf(withoutKubernetes())("the chart", () => {
  test("helm finds nothing wrong with it, and packs it", async () => {
    for (const example of ["sidecar", "companion", "replicas"]) {
      const values = join(CHART, `examples/${example}.yaml`);
      const { status, stdout, stderr } = runHelm("lint", "--strict", "--values", values, CHART);
      expect(stdout).toContain("1 chart(s) linted, 0 chart(s) failed");
      // Where a template fails, the linter only says so.
      expect([status, stderr]).toEqual([0, ""]);
    }
    const packed = runHelm("package", CHART, "--destination", await temporaryFolder({}));
    expect(packed.stdout).toContain(`mcp-taskgate-${chart.version}.tgz`);
  });

  test("it installs the gateway that it lies beside", () => {
    const { version } = JSON.parse(readFileSync(join(CHART, "../../../package.json"), "utf8"));
    expect(chart.appVersion).toBe(version);
  });

  test.each(Object.entries(GOOD))("what it makes of %s is good", async (_, [values, release]) => {
    const documents = await rendered(values, release);
    expect(await wrongValues(documents)).toEqual([]);
    expect(dangling(documents)).toEqual([]);
    expectSafePod(documents);
    expect(podOf(documents).pod.automountServiceAccountToken).toBe(false);
  });

  test("every value has its place", async () => {
    const [values, release] = GOOD["everything else"] as [Json, Json];
    const documents = await rendered(values, release);
    const { spec } = only(documents, "Deployment");
    expect(spec.template.metadata).toMatchObject({
      labels: { team: "tools" },
      annotations: values.podAnnotations,
    });
    const { nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName } = values;
    expect(spec.template.spec).toMatchObject({
      imagePullSecrets: values.imagePullSecrets,
      serviceAccountName: "tools",
      terminationGracePeriodSeconds: 120,
      nodeSelector,
      tolerations,
      affinity,
      topologySpreadConstraints,
      priorityClassName,
    });
    const { gateway } = podOf(documents);
    expect(gateway.image).toBe(`registry.example.com/taskgate@sha256:${"0".repeat(64)}`);
    expect(gateway).not.toHaveProperty("lifecycle");
    const { metadata: service, spec: ports } = only(documents, "Service");
    expect(service.annotations).toEqual(values.service.annotations);
    expect(ports).toMatchObject({ type: "LoadBalancer", sessionAffinity: "ClientIP", ports: [{ port: 80 }] });
    const { metadata: ingress, spec: rules } = only(documents, "Ingress");
    expect(ingress.annotations).toEqual(values.ingress.annotations);
    expect(rules).toMatchObject({ ingressClassName: "internal", tls: values.ingress.tls });
    expect(rules.rules.map(({ host }: Json) => host)).toEqual(values.ingress.hosts);
    const { spec: route } = only(documents, "HTTPRoute");
    expect(route).toMatchObject({
      parentRefs: values.httpRoute.parentRefs,
      hostnames: values.httpRoute.hostnames,
      rules: [{ backendRefs: [{ name: "tools", port: 80 }] }],
    });
    const [clients, monitoring] = only(documents, "NetworkPolicy").spec.ingress;
    expect([clients.from, monitoring.from]).toEqual([
      values.networkPolicy.clients,
      values.networkPolicy.monitoring,
    ]);
    expect(only(documents, "HorizontalPodAutoscaler").spec.metrics).toEqual(values.autoscaling.metrics);
    expect(only(documents, "PodDisruptionBudget").spec.maxUnavailable).toBe("25%");
    expect(only(documents, "PodMonitor").spec.podMetricsEndpoints[0].interval).toBe("1m");
    expect(only(documents, "ServiceAccount").metadata.annotations).toEqual(values.serviceAccount.annotations);
  });

  test("a volume is as large and as fast as its values say, or one that there is", async () => {
    const [own] = GOOD["a volume of its own"] as [Values];
    expect(only(await rendered(own), "PersistentVolumeClaim").spec).toEqual({
      accessModes: ["ReadWriteOncePod"],
      storageClassName: "fast",
      resources: { requests: { storage: "10Gi" } },
    });
    const [there] = GOOD["what there is already"] as [Values];
    const documents = await rendered(there);
    expect(podOf(documents).pod).toMatchObject({
      serviceAccountName: "gate",
      volumes: [{ name: "taskgate-config" }, { persistentVolumeClaim: { claimName: "tasks" } }],
    });
    for (const kind of ["PersistentVolumeClaim", "ServiceAccount", "NetworkPolicy"])
      expect(ofKind(documents, kind)).toEqual([]);
  });

  test("no document has a field that does not exist", async () => {
    const all = await Promise.all(Object.values(GOOD).map((each) => rendered(...each)));
    expect(await wrongFields(all.flat())).toBe("");
  });

  test("a wrong value, a field that does not exist and a name that leads nowhere are noticed", async () => {
    const documents = structuredClone(await rendered({ config: { servers } })) as readonly Json[];
    const pod = only(documents, "Deployment").spec.template.spec;
    pod.terminationGracePeriodSeconds = "35";
    expect(await wrongValues(documents)).toEqual([
      expect.stringContaining("terminationGracePeriodSeconds must be integer"),
    ]);
    pod.terminationGracePeriodSeconds = 35;
    pod.containers[0].readinesProbe = {};
    expect(await wrongFields(documents)).toContain(`'"readinesProbe"' does not exist in type 'IContainer'`);
    pod.containers[0].readinessProbe.httpGet.port = 9091;
    only(documents, "Service").spec.ports[0].targetPort = "http";
    expect(dangling(documents)).toEqual([
      "taskgate: readinessProbe: it has no port 9091",
      "Service mcp-taskgate: the pods have no port http",
    ]);
  });

  test("a store that belongs to one gateway has one pod at a time, and a volume", async () => {
    const documents = await rendered({ config: { servers } });
    expect(only(documents, "Deployment").spec).toMatchObject({ replicas: 1, strategy: { type: "Recreate" } });
    const { gateway, pod } = podOf(documents);
    expect(gateway.volumeMounts).toContainEqual({ name: "taskgate-data", mountPath: "/data" });
    expect(pod.volumes).toContainEqual({
      name: "taskgate-data",
      persistentVolumeClaim: { claimName: only(documents, "PersistentVolumeClaim").metadata.name },
    });
  });

  test("a store in memory has one pod at a time, and none", async () => {
    const documents = await rendered({ config: { servers, store: { url: "memory:" } } });
    expect(only(documents, "Deployment").spec).toMatchObject({ replicas: 1, strategy: { type: "Recreate" } });
    expect(podOf(documents).pod.volumes).toHaveLength(1);
    expect(ofKind(documents, "PersistentVolumeClaim")).toEqual([]);
  });

  test("a Redis has several pods, none of which is missed in a rollout", async () => {
    const documents = await rendered({}, { examples: ["replicas"] });
    const { spec } = only(documents, "Deployment");
    expect(spec).not.toHaveProperty("replicas");
    expect(spec.strategy).toEqual({
      type: "RollingUpdate",
      rollingUpdate: { maxSurge: 1, maxUnavailable: 0 },
    });
    expect(only(documents, "HorizontalPodAutoscaler").spec).toMatchObject({ minReplicas: 2, maxReplicas: 5 });
    expect(only(documents, "PodDisruptionBudget").spec.maxUnavailable).toBe(1);
    expect(ofKind(documents, "PersistentVolumeClaim")).toEqual([]);
  });

  test("a route waits as long as a call lasts", async () => {
    const documents = await rendered({}, { examples: ["replicas"] });
    expect(only(documents, "HTTPRoute").spec.rules[0].timeouts).toEqual({ request: "0s" });
  });

  test("the admin port is open for those who scrape, and in no Service for clients", async () => {
    const documents = await rendered({ config: { servers }, monitor: { kind: "ServiceMonitor" } });
    const [clients, monitoring] = only(documents, "NetworkPolicy").spec.ingress;
    expect(clients).toEqual({ ports: [{ port: "taskgate", protocol: "TCP" }] });
    expect(monitoring).toEqual({
      ports: [{ port: "taskgate-admin", protocol: "TCP" }],
      from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }],
    });
    expect(only(documents, "Service", "mcp-taskgate").spec.ports.map(({ name }: Json) => name)).toEqual([
      "http",
    ]);
  });

  test("a server in the pod stops after the gateway", async () => {
    const { pod } = podOf(await rendered({}, { examples: ["sidecar"] }));
    expect(pod.initContainers).toEqual([
      {
        name: "reports",
        image: "registry.example.com/reports:1.4.0",
        ports: [{ containerPort: 3001 }],
        restartPolicy: "Always",
      },
    ]);
  });

  test.each([
    ["20s", 5, 35],
    ["1500ms", 0, 12],
    ["2m", 5, 135],
    ["1h", 5, 3615],
  ])(
    "with a drain of %s and %i s before it a pod has %i s to stop",
    async (drainTimeout, preStopSeconds, s) => {
      const { pod } = podOf(
        await rendered({ config: { servers, limits: { drainTimeout } }, preStopSeconds }),
      );
      expect(pod.terminationGracePeriodSeconds).toBe(s);
    },
  );

  test("numbers stay numbers, and what looks like a variable is left to the gateway", async () => {
    const [values] = GOOD["large numbers, and a text that looks like a variable"] as [Values];
    const { config } = mounted(await rendered(values));
    expect(config.limits.total.tasks).toBe(10_000_000);
    expect(config.servers.reports.upstream.headers).toEqual({ "X-A": "$${B}" });
  });

  test("variables are texts, whatever they look like", async () => {
    const [values] = GOOD["everything else"] as [Values];
    const { gateway } = podOf(await rendered(values));
    expect(gateway.env).toEqual([
      { name: "COUNT", value: "10000000" },
      { name: "EMPTY", value: "" },
      { name: "FLAG", value: "true" },
      { name: "OTEL_SERVICE_NAME", value: "tools" },
    ]);
  });

  test("the gateway knows the names of its Service, and the hosts of its routes", async () => {
    const [values] = GOOD["everything else"] as [Values];
    expect(mounted(await rendered(values)).config.listen.allowedHosts).toEqual([
      "tools",
      "tools.tools",
      "tools.tools.svc",
      "tools.tools.svc.example.internal",
      "a.example.com",
      "b.example.com",
      "c.example.com",
    ]);
  });

  test("the manual shows the examples", () => {
    const manual = readFileSync(join(CHART, "../../../docs/kubernetes.md"), "utf8");
    const shown = [...manual.matchAll(/^```yaml values\n([\s\S]*?)^```/gm)].map(([, text]) => text);
    const names = ["sidecar", "companion", "replicas"];
    expect(shown).toEqual(names.map((name) => readFileSync(join(CHART, `examples/${name}.yaml`), "utf8")));
  });

  test("the notes say where the gateway is, and what sessions need", async () => {
    const notes = { upstream: { command: "node", args: ["notes.js"] } };
    const values = {
      replicas: 2,
      config: { store: { url: "redis://redis" }, servers: { ...servers, notes } },
    };
    const folder = await temporaryFolder({ "values.json": JSON.stringify(values) });
    const args = [
      "gate",
      CHART,
      "--namespace",
      "tools",
      "--dry-run=client",
      "--values",
      `${folder}/values.json`,
    ];
    const [, said = ""] = runHelm("install", ...args).stdout.split("\nNOTES:\n");
    expect(said).toContain("http://gate-mcp-taskgate.tools:8080:\n  /notes/mcp\n  /reports/mcp\n");
    expect(said).toContain("without config.admin.token the API refuses every request");
    expect(said).toMatch(/^notes: the sessions of older clients live in one replica/m);
    expect(said).not.toMatch(/^reports: the sessions/m);
  });

  test("as a part of another chart it takes what all parts get", async () => {
    const folder = await temporaryFolder({
      "Chart.yaml": "apiVersion: v2\nname: tools\nversion: 1.0.0\n",
      "values.yaml": JSON.stringify({
        global: { region: "here" },
        "mcp-taskgate": { enabled: true, config: { servers } },
      }),
    });
    await cp(CHART, join(folder, "charts/mcp-taskgate"), { recursive: true });
    const documents = documentsOf(runHelm("template", "all", folder));
    expect(only(documents, "Deployment").metadata.name).toBe("all-mcp-taskgate");
  });

  test("a Kubernetes that cannot sleep before it stops a pod is refused", async () => {
    const at = (version: string) => template({ config: { servers } }, { args: ["--kube-version", version] });
    expect((await at("1.29.9")).stderr).toContain("chart requires kubeVersion: >=1.30.0-0");
    expect((await at("1.30.0")).status).toBe(0);
  });

  test.each(CONTRADICTIONS)("%s: refused in a sentence", async (_, values, line) => {
    const { status, stdout, stderr } = await template(values);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr.split("\n")).toContain(line);
    // The sentence alone: a value is wrong for one reason.
    expect(
      stderr.split("\n").filter((said) => /^[\w.[\]-]+: /.test(said) && !said.startsWith("Error")),
    ).toEqual([line]);
  });

  test("all that is wrong is said at once", async () => {
    const { stderr } = await template({ replicas: 2, ingress: { enabled: true } });
    expect(stderr.match(/^(replicas|ingress\.hosts|config\.servers): /gm)).toHaveLength(3);
  });

  test.each(UNKNOWN)("%s: refused by the schema", async (_, values, said) => {
    const { status, stderr } = await template({ config: { servers }, ...values });
    expect(status).toBe(1);
    for (const part of said) expect(stderr).toContain(part);
  });

  describe("pods are made anew after a change that a running gateway cannot take over, and only then", () => {
    const webhook = { url: "https://agent.example.com/hook", secret: "$" + "{HOOK}" };
    const env = { HOOK: `whsec_${Buffer.alloc(32).toString("base64")}` };
    let before: ReturnType<typeof mounted> | undefined;
    test.each([
      ["nothing", {}],
      ["servers", { servers: { search: { upstream: { url: "http://search/mcp" } } } }],
      ["limits.maxBody", { limits: { maxBody: "9mb" } }],
      ["limits.maxConnections", { limits: { maxConnections: 9 } }],
      ["limits.total", { limits: { total: { tasks: 9 } } }],
      ["limits.perCaller", { limits: { perCaller: { tasks: 9 } } }],
      ["limits.perRoute", { limits: { perRoute: { calls: "9/s" } } }],
      ["limits.drainTimeout", { limits: { drainTimeout: "9s" } }],
      ["limits.maxDepth", { limits: { maxDepth: 9 } }],
      ["limits.maxHeaders", { limits: { maxHeaders: "9kb" } }],
      ["limits.maxUnwritten", { limits: { maxUnwritten: "9mb" } }],
      ["limits.keepAlive", { limits: { keepAlive: "9s" } }],
      ["limits.maxWait", { limits: { maxWait: "9s" } }],
      ["limits.restartGap", { limits: { restartGap: "9s" } }],
      ["listen", { listen: { allowedOrigins: ["https://app.example.com"] } }],
      ["admin", { admin: { payloads: true } }],
      ["store", { store: { url: "level:/data/other" } }],
      ["callers", { callers: { identify: "anonymous" } }],
      ["log", { log: { level: "debug" } }],
      ["tracing", { tracing: "propagate" }],
      ["webhooks", { webhooks: { agent: webhook } }],
      ["reload", { reload: "off" }],
    ])("%s", async (_, change) => {
      before ??= mounted(await rendered({ config: { servers }, env }));
      const after = mounted(await rendered({ config: { servers, ...change }, env }));
      const { restart } = renewed(parseConfig(before.text, env).config, parseConfig(after.text, env).config);
      expect(after.hash !== before.hash).toBe(restart.length > 0);
    });

    test("and after any, where the gateway does not watch", async () => {
      const hash = async (upstream: Json) =>
        mounted(await rendered({ config: { reload: "off", servers: { reports: { upstream } } } })).hash;
      expect(await hash({ url: "http://one/mcp" })).not.toBe(await hash({ url: "http://two/mcp" }));
    });
  });
});
