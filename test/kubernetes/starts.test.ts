/** The built gateway with the configuration, the variables and the ports that each rendering gives its pods. */

import { once } from "node:events";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { freePorts } from "../demo/programs.ts";
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

/**
 * What each makes, and how the gateway answers another path than those of MCP: only a server in the pod is there, and only before one server
 * such paths are its own.
 */
const RENDERINGS: readonly (readonly [
  what: string,
  status: number,
  render: () => Promise<readonly Document[]>,
])[] = [
  ["the chart as a sidecar", 200, () => rendered({}, { examples: ["sidecar"] })],
  ["the chart as a companion", 502, () => rendered({}, { examples: ["companion"] })],
  ["the chart with replicas", 502, () => rendered({}, { examples: ["replicas"] })],
  ["the sidecar", 200, async () => built(join(KUSTOMIZE, "overlays/sidecar"))],
  ["the companion", 404, async () => built(join(KUSTOMIZE, "overlays/companion"))],
  ["the replicas", 502, async () => built(join(KUSTOMIZE, "overlays/replicas"))],
];

describe.skipIf(withoutKubernetes() || withoutPrograms("kubernetes", "redis-server"))(
  "a gateway starts with",
  () => {
    let redis: RedisServer;
    beforeAll(async () => {
      redis = await startRedis({ password: PASSWORD });
    });
    afterAll(() => redis.stop());

    test.each(RENDERINGS)("what %s mounts, and answers as it is asked", async (_, status, render) => {
      const data = await temporaryFolder({});
      const documents = await here(await render(), { data, redis });
      const { gateway } = podOf(documents);
      const { text } = mounted(documents);
      const folder = await temporaryFolder({ "etc/mcp-taskgate/taskgate.yaml": text });
      const args = gateway.args.map((arg: string) => (arg.startsWith("/") ? join(folder, arg) : arg));
      const { servers } = mounted(documents).config;
      const inPod = Object.values<Json>(servers).find(({ upstream }) =>
        upstream.url.includes("//127.0.0.1:"),
      );
      if (inPod !== undefined) await serverAt(inPod.upstream.url);
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

      expect(await ask(main, "/hello", { host: hosts[0] })).toBe(status);

      expect(await running.kill("SIGTERM")).toEqual({ code: 0, signal: null });
      expect(running.stderr).not.toMatch(/open to other users/);
    });
  },
);

/**
 * The documents as if this machine were the pod's: the ports 8080, 9090 and 3001 of all of them are free ones here, the volume is a
 * folder, and the Redis is ours.
 */
async function here(
  documents: readonly Document[],
  { data, redis }: { readonly data: string; readonly redis: RedisServer },
): Promise<readonly Document[]> {
  const [main, admin, server] = await freePorts(3);
  const text = JSON.stringify(documents)
    .replaceAll(/\b8080\b/g, String(main))
    .replaceAll(/\b9090\b/g, String(admin))
    .replaceAll(/\b3001\b/g, String(server))
    .replaceAll("level:/data/", `level:${data}/`)
    .replaceAll("redis.tools.svc.cluster.local:6379", `127.0.0.1:${redis.port}`);
  return JSON.parse(text);
}

/** What listens where the pod's server would, and says hello. */
async function serverAt(url: string): Promise<void> {
  const server = createServer(({ url: path }, response) => {
    response.writeHead(path === "/hello" ? 200 : 404).end();
  });
  onTestFinished(() => void server.close().closeAllConnections());
  await once(server.listen(Number(new URL(url).port), "127.0.0.1"), "listening");
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
