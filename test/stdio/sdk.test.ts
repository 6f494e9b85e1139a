/** The stock clients, each starting the gateway as it starts any server. */

import { Client, type VersionNegotiationOptions } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { createApplicationInputHandler } from "@modelcontextprotocol/ext-tasks/client";
import { expect, onTestFinished, test } from "vitest";
import { COMMAND } from "../cli/process.ts";
import { connectOver } from "../demo/task-session.ts";
import { everything } from "../peers/peers.ts";
import { startEverything } from "../support/everything-process.ts";
import { connectLegacyToCommand } from "../support/legacy-client.ts";

const EVERYTHING = ["--", process.execPath, everything("2025.12.18", "stdio")];
const LONG = { name: "longRunningOperation", arguments: { duration: 1, steps: 4 } };

const MODES: readonly (readonly [string, VersionNegotiationOptions, string])[] = [
  ["pinned to 2026-07-28", { mode: { pin: "2026-07-28" } }, "modern"],
  ["that finds out by itself, with a gateway to try", { mode: "auto" }, "modern"],
  ["that knows only sessions", { mode: "legacy" }, "legacy"],
];

test.each(MODES)("the official client %s", async (_, versionNegotiation, era) => {
  const client = new Client({ name: "test", version: "0" }, { versionNegotiation });
  onTestFinished(() => client.close());
  await client.connect(new StdioClientTransport(commandOf(EVERYTHING)));
  expect(client.getProtocolEra()).toBe(era);

  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toContain("echo");
  const progress: number[] = [];
  const result = await client.callTool(LONG, { onprogress: (each) => void progress.push(each.progress) });
  expect(result.content).toMatchObject([{ text: expect.stringContaining("completed") }]);
  // The last comes with the result, in which case the client drops it.
  expect(progress.slice(0, 3)).toEqual([1, 2, 3]);
});

test("the session of ext-tasks gets a task, follows it, and answers what it asks", async () => {
  const asked: string[] = [];
  const answer = createApplicationInputHandler({
    elicitation: ({ params }) => {
      asked.push(String(params.message));
      return { action: "decline" };
    },
    sampling: () => expect.unreachable("nobody declared it"),
    roots: () => expect.unreachable("nobody declared it"),
  });
  const args = ["--mode", "always", ...EVERYTHING];
  const session = await connectOver(new StdioClientTransport(commandOf(args)), "stdio", answer);
  onTestFinished(() => session.close());
  expect(session.era).toBe("modern");
  expect(session.serverHasTasks).toBe(true);

  const long = await session.tasks.callTool(LONG.name, LONG.arguments);
  expect(long.kind).toBe("task");
  expect((await long.settle()).outcome).toMatchObject({ status: "completed" });

  const asking = await session.tasks.callTool("startElicitation", {});
  expect((await asking.settle()).outcome).toMatchObject({ status: "completed" });
  expect(asked).toHaveLength(1);
});

test.each(["1.10", "1.22", "1.32"] as const)("the client of the v1 SDK, release %s", async (release) => {
  const url = await startEverything("2025.12.18");
  for (const args of [EVERYTHING, ["--upstream", url.href]]) {
    const { client, heard } = await connectLegacyToCommand(release, commandOf(args));
    expect(client.getServerVersion()?.name).toBe("example-servers/everything");
    const result = await client.callTool(LONG, undefined, { onprogress: () => {} });
    expect(result.content).toMatchObject([{ text: expect.stringContaining("completed") }]);
    const progress = heard.filter(({ method }) => method === "notifications/progress");
    expect(progress.map(({ params }) => params.progress)).toEqual([1, 2, 3, 4]);
    await client.close();
  }
});

test("the client of the v1 SDK answers what the server asks", async () => {
  const answer = { name: "Ada", check: true, integer: 36 };
  const { client, asked } = await connectLegacyToCommand("1.32", commandOf(EVERYTHING), { answer });
  const result = await client.callTool({ name: "startElicitation", arguments: {} });
  expect(JSON.stringify(result.content)).toContain("Ada");
  expect(asked).toHaveLength(1);
});

function commandOf(args: readonly string[]) {
  return { command: process.execPath, args: [...COMMAND, "stdio", ...args], stderr: "ignore" as const };
}
