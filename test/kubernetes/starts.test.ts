/** The built gateway with the configuration, the variables and the ports that each rendering gives its pods. */

import { once } from "node:events";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../demo/programs.ts";
import { startGatewayProcess } from "../support/gateway-process.ts";
import type { Json } from "../support/modern-client.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { withoutPrograms } from "../support/required-programs.ts";
import { type Document, ofKind, podOf, portOf } from "./documents.ts";
import { mounted } from "./pod.ts";
import { built, KUSTOMIZE, rendered, temporaryFolder, withoutKubernetes } from "./programs.ts";

const PASSWORD = "a-password";
/** What is in the Secrets, by a part of the variable's name. */
const SECRETS = [
  ["_KEY", "0".repeat(64)],
  ["REDIS_PASSWORD", PASSWORD],
  ["TOKEN", "t".repeat(32)],
] as const;

const RENDERINGS: Readonly<Record<string, () => Promise<readonly Document[]>>> = {
  "the chart as a sidecar": () => rendered({}, { examples: ["sidecar"] }),
  "the chart as a companion": () => rendered({}, { examples: ["companion"] }),
  "the chart with replicas": () => rendered({}, { examples: ["replicas"] }),
  "the sidecar": async () => built(join(KUSTOMIZE, "overlays/sidecar")),
  "the companion": async () => built(join(KUSTOMIZE, "overlays/companion")),
  "the replicas": async () => built(join(KUSTOMIZE, "overlays/replicas")),
};

describe.skipIf(withoutKubernetes() || withoutPrograms("kubernetes", "redis-server"))(
  "a gateway starts with",
  () => {
    let redis: RedisServer;
    beforeAll(async () => {
      redis = await startRedis({ password: PASSWORD });
    });
    afterAll(() => redis.stop());

    test.each(Object.entries(RENDERINGS))("what %s mounts, and answers as it is asked", async (_, render) => {
      const data = await temporaryFolder({});
      const documents = await here(await render(), { data, redis });
      const { gateway } = podOf(documents);
      const { text } = mounted(documents);
      const folder = await temporaryFolder({ "etc/mcp-taskgate/taskgate.yaml": text });
      const args = gateway.args.map((arg: string) => (arg.startsWith("/") ? join(folder, arg) : arg));
      const running = await startGatewayProcess(args, { env: variables(gateway) });

      for (const name of ["startupProbe", "readinessProbe", "livenessProbe"]) {
        const { path, port } = gateway[name].httpGet;
        expect(await ask(portOf(gateway, port), path), name).toBe(200);
      }
      for (const { spec } of ofKind(documents, "PodMonitor"))
        for (const { path, port } of spec.podMetricsEndpoints)
          expect(await ask(portOf(gateway, port), path), "PodMonitor").toBe(200);
      // A host that a Service or an Ingress is reached by, and another one.
      const main = portOf(gateway, "taskgate");
      const hosts = mounted(documents).config.listen.allowedHosts.filter(
        (host: string) => !host.includes("$"),
      );
      for (const host of [...hosts, ...publicHosts(documents)])
        expect(await ask(main, running.url.pathname, { host, method: "OPTIONS" }), host).not.toBe(403);
      expect(await ask(main, running.url.pathname, { host: "elsewhere.example", method: "OPTIONS" })).toBe(
        403,
      );

      expect(await running.kill("SIGTERM")).toEqual({ code: 0, signal: null });
      expect(running.stderr).not.toMatch(/open to other users/);
    });
  },
);

/**
 * The documents as if this machine were the pod's: the ports 8080 and 9090 of all of them are free ones here, the volume is a folder, and
 * the Redis is ours.
 */
async function here(
  documents: readonly Document[],
  { data, redis }: { readonly data: string; readonly redis: RedisServer },
): Promise<readonly Document[]> {
  const [main, admin] = [await freePort(), await freePort()];
  const text = JSON.stringify(documents)
    .replaceAll(/\b8080\b/g, String(main))
    .replaceAll(/\b9090\b/g, String(admin))
    .replaceAll("level:/data/", `level:${data}/`)
    .replaceAll("redis.tools.svc.cluster.local:6379", `127.0.0.1:${redis.port}`);
  return JSON.parse(text);
}

/** The variables of a container. Those from Secrets have what a Secret of this kind has. */
function variables({ env = [] }: Json): Record<string, string> {
  return Object.fromEntries(
    env.map(({ name, value, valueFrom }: Json) => {
      const secret = SECRETS.find(([part]) => name.includes(part))?.[1];
      return [name, valueFrom?.secretKeyRef === undefined ? value : secret];
    }),
  );
}

function publicHosts(documents: readonly Document[]): readonly string[] {
  return [
    ...ofKind(documents, "Ingress").flatMap(({ spec }) => spec.rules.map(({ host }: Json) => host)),
    ...ofKind(documents, "HTTPRoute").flatMap(({ spec }) => spec.hostnames),
  ];
}

/** The status of an answer. */
async function ask(
  port: number | undefined,
  path: string,
  { host = `127.0.0.1:${port}`, method = "GET" } = {},
): Promise<number | undefined> {
  const asked = request({ port, path, method, headers: { host } }).end();
  const [response] = await once(asked, "response");
  response.resume();
  return response.statusCode;
}
