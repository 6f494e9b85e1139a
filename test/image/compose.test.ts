/** The compose file and the gateway's file beside it fit together. That both work is shown by `npm run image`. */

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { loadConfig } from "../../src/config/load.ts";
import { CONTAINERFILE, ROOT } from "./containerfile.ts";

const FOLDER = join(ROOT, "config/container");
const { services, volumes } = parse(readFileSync(join(FOLDER, "compose.yaml"), "utf8"));
const { gateway } = services;
const FILE = join(FOLDER, "taskgate.yaml");

test("the gateway's file has no error where compose runs it, and names services", async () => {
  const env = Object.fromEntries(Object.keys(gateway.environment).map((name) => [name, "secret"]));
  const { config, warnings } = await loadConfig(FILE, env);
  const { upstream } = config.servers[0] ?? {};
  const hosts = [
    upstream?.transport === "stdio" ? undefined : upstream?.url.hostname,
    new URL(config.store.url).hostname,
  ];
  expect(hosts).toEqual(["everything", "redis"]);
  expect(Object.keys(services)).toEqual(expect.arrayContaining(hosts));
  expect(Object.keys(gateway.depends_on).sort()).toEqual(hosts.toSorted());
  expect(gateway.ports).toEqual([`127.0.0.1:${config.listen.port}:${config.listen.port}`]);
  expect(Number.parseInt(gateway.stop_grace_period, 10) * 1_000).toBe(config.limits.drainTimeoutMs + 10_000);
  // Callers are not told apart, but only this machine reaches the gateway; and nobody else is in the network of the Redis.
  expect(warnings.map(({ path }) => path)).toEqual(["callers.identify", "store.url"]);
});

test("what it builds and mounts is there, and nothing of the gateway can be written", () => {
  expect(resolve(FOLDER, gateway.build.context)).toBe(ROOT);
  expect(join(ROOT, gateway.build.dockerfile)).toBe(CONTAINERFILE);
  const [from = "", to, how] = gateway.volumes[0].split(":");
  expect([existsSync(resolve(FOLDER, from)), to, how]).toEqual([
    true,
    "/etc/mcp-taskgate/taskgate.yaml",
    "ro",
  ]);
  expect(gateway).toMatchObject({
    read_only: true,
    cap_drop: ["ALL"],
    security_opt: ["no-new-privileges:true"],
  });
  expect(Object.keys(volumes)).toEqual(services.redis.volumes.map((volume: string) => volume.split(":")[0]));
});

test("every image of others has a version", () => {
  for (const name of ["redis", "everything"]) expect(services[name].image).toMatch(/:[\w.-]*\d[\w.-]*$/);
});
