import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { descriptorWarning, readMaxDescriptors } from "../../src/lib/descriptors.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

const CLI = resolve(import.meta.dirname, "../../dist/cli.js");

test.each([
  [
    "a limit",
    "Max processes  5  5  processes\nMax open files            1024                 524288               files\n",
    1024,
  ],
  ["no limit", "Max open files            unlimited            unlimited            files\n", undefined],
  ["another system", "", undefined],
])("the soft limit of open files is read: %s", (_, text, expected) => {
  expect(readMaxDescriptors(text)).toBe(expected);
});

test.each([
  [1_024, 20_000, true],
  [19_999, 20_000, true],
  [20_000, 20_000, false],
  [undefined, 20_000, false],
])("with %s open files, %i connections: warns is %s", (descriptors, connections, warns) => {
  expect(descriptorWarning(descriptors, connections) !== undefined).toBe(warns);
});

test.skipIf(!existsSync("/proc/self/limits"))("the start says that `ulimit -n` is too low", async () => {
  const server = await startScriptedServer({});
  onTestFinished(server.close);
  const args = ["--upstream", server.url.href, "--port", "0", "--store", "memory:"];
  const command = ["-c", 'ulimit -n 300 && exec "$@"', "sh", process.execPath, CLI, ...args];
  const child = spawn("sh", command, { stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(async () => {
    if (child.exitCode === null && child.kill("SIGKILL")) await once(child, "exit");
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  await expect
    .poll(() => said, { timeout: 120_000 })
    .toMatch(/maxConnections is 20000, but this process may have 300 files open/);
});
