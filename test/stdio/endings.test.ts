/** How it comes to an end: the client's, the server's, and the operator's; and that nobody is left behind. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startLegacyTasksServer } from "../support/legacy-tasks-server.ts";
import { lifeline } from "../support/stdio-servers/lifeline.ts";
import { children, processesOf, remaining } from "../support/stdio-servers/processes.ts";
import { script } from "../support/stdio-servers/scripts.ts";
import { type RawClient, startStdio } from "./raw-client.ts";

test("requests that a pipe writes before it closes the input have their answers, and no process stays", async () => {
  const { port, held } = await lifeline();
  const client = startStdio(await settings("1h"));
  const group = await pidOf(client);
  const clientInfo = { name: "pipe", version: "0" };
  const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo };
  client.send({ id: "older", method: "initialize", params });
  client.send({ method: "notifications/initialized" });
  client.send({ id: "call", method: "tools/call", params: { name: "released", arguments: { port } } });
  const modern = client.open("tools/call", { name: "echo", arguments: { text: "heard" } });
  client.open("subscriptions/listen", { notifications: { toolsListChanged: true } });
  client.end();
  (await held).release();
  expect(await client.exited).toBe(0);
  expect((await client.answer("older")).result.protocolVersion).toBe("2025-06-18");
  expect((await client.answer("call")).result.content[0].text).toBe("released");
  expect((await client.answer(modern)).result.content[0].text).toBe("heard");
  expect(await processesOf(group)).toEqual([]);
});

test("a client that closes the input in the middle of a call without end is left with 0, and no process stays", async () => {
  const client = startStdio(await settings("100ms"));
  const group = await pidOf(client);
  client.open("tools/call", { name: "stop-answering", arguments: {} });
  client.end();
  expect(await client.exited).toBe(0);
  expect(await processesOf(group)).toEqual([]);
});

test("a task that nobody can ask for any more is not waited for", async () => {
  const client = startStdio(["--mode", "always", ...commandOf("odd-tools")]);
  const { result: task } = await client.ask("tools/call", { name: "stop-answering", arguments: {} });
  expect(task.status).toBe("working");
  client.end();
  expect(await client.exited).toBe(0);
});

test("a task in a store that lasts is waited for, and is there for the next gateway", async () => {
  const server = await startLegacyTasksServer();
  onTestFinished(() => server.close());
  const directory = await mkdtemp(join(tmpdir(), "taskgate-front-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const args = ["--mode", "always", "--store", `level:${directory}`, "--upstream", server.url.href];
  const first = startStdio(args);
  const call = { name: "slow_compute", arguments: { seconds: 1, label: "It" } };
  const { result: task } = await first.ask("tools/call", call);
  first.end();
  expect(await first.exited).toBe(0);

  const { result } = await startStdio(args).settled(task.taskId);
  expect(result.content[0].text).toBe("It took 1 s");
});

test("a client that is impatient, as SDKs are, waits neither for tasks nor for a server that does not want to end", async () => {
  const { port, held } = await lifeline();
  const client = startStdio(await settings("1h", script("holds-on", String(port))));
  client.open("server/discover");
  const { cut } = await held;
  client.end();
  client.signal("SIGTERM");
  expect(await client.exited).toBe(0);
  await cut;
});

test("a signal ends it with 0, when the call that runs has had its time", async () => {
  const client = startStdio(commandOf("odd-tools"));
  const group = await pidOf(client);
  client.signal("SIGTERM");
  expect(await client.exited).toBe(0);
  expect(await processesOf(group)).toEqual([]);
});

test("the first signal reaches the server at once, and those that hosts send right after it hurry nothing", async () => {
  const { port, held } = await lifeline();
  const client = startStdio(commandOf("odd-tools"));
  await client.ask("tools/call", { name: "heed-signals", arguments: { port } });
  const { cut } = await held;
  client.signal("SIGINT");
  client.signal("SIGTERM");
  expect(await cut).toBe("SIGINT ");
  expect(await client.exited).toBe(0);
  expect(client.stderr).not.toContain("the server has exited");
});

test("a task in a store that lasts has its time before the server hears of a signal", async () => {
  const directory = await mkdtemp(join(tmpdir(), "taskgate-front-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const { port, held } = await lifeline();
  const args = ["--mode", "always", "--store", `level:${directory}`, ...commandOf("odd-tools")];
  const client = startStdio(args);
  const { result: task } = await client.ask("tools/call", { name: "released", arguments: { port } });
  const { cut, release } = await held;
  client.signal("SIGTERM");
  await client.logged("stopping: 1 task runs");
  release();
  expect(await client.exited).toBe(0);
  await cut;
  const { result } = await startStdio(args).settled(task.taskId);
  expect(result.content[0].text).toBe("released");
});

test.each(["SIGKILL", "SIGTERM then SIGKILL"])(
  "a client that sends %s leaves no process behind",
  async (signals) => {
    const { port, held } = await lifeline();
    const client = startStdio(commandOf("holds-on", String(port)));
    client.open("server/discover");
    const { cut } = await held;
    const started = await children(client.pid);
    expect(started.length).toBeGreaterThan(1);
    for (const signal of signals.split(" then ")) client.signal(signal as NodeJS.Signals);
    expect(await client.exited).toBe("SIGKILL");
    await cut;
    await expect.poll(() => remaining(started)).toEqual([]);
  },
);

test("a client that closes the output only is noticed with the next answer, and left with 0", async () => {
  const client = startStdio(commandOf("odd-tools"));
  const group = await pidOf(client);
  client.stopReading();
  client.open("tools/list");
  expect(await client.exited).toBe(0);
  expect(await processesOf(group)).toEqual([]);
});

test("a server that is killed is an error for the call, and is started again for the next", async () => {
  const client = startStdio(commandOf("odd-tools"), { capabilities: {} });
  const call = { name: "kill", arguments: { signal: "SIGKILL" } };
  expect((await client.ask("tools/call", call)).error).toMatchObject({
    message: expect.stringContaining("was killed by SIGKILL in the middle of the call"),
  });
  const { result } = await client.ask("tools/call", { name: "echo", arguments: { text: "again" } });
  expect(result.content[0].text).toBe("again");
});

test("a command that is not there is an error for each request, and the connection goes on", async () => {
  const client = startStdio(["--", "/no/such/program"]);
  const { error } = await client.ask("tools/list");
  expect(error.message).toContain("command not found: /no/such/program");
  expect((await client.ask("tasks/get", { taskId: "none" })).error.code).toBe(-32602);
});

async function pidOf(client: RawClient): Promise<number> {
  const { result } = await client.ask("tools/call", { name: "pid", arguments: {} });
  return Number(result.content[0].text);
}

/** The arguments for a file that gives open requests so long to be answered. */
async function settings(drainTimeout: string, upstream = script("odd-tools")): Promise<readonly string[]> {
  const directory = await mkdtemp(join(tmpdir(), "taskgate-front-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, "taskgate.json");
  const { command, args } = upstream;
  await writeFile(
    file,
    JSON.stringify({ servers: { odd: { upstream: { command, args } } }, limits: { drainTimeout } }),
  );
  return ["--config", file];
}

function commandOf(name: Parameters<typeof script>[0], ...more: readonly string[]): readonly string[] {
  const { command, args } = script(name, ...more);
  return ["--", command, ...args];
}
