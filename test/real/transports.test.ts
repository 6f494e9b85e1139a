/** Servers as they were published, over the transports that came before Streamable HTTP, behind the gateway. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Client, type ClientCapabilities, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { describe, expect, onTestFinished, test } from "vitest";
import { type EverythingRelease, everything } from "../peers/peers.ts";
import { startEverything } from "../support/everything-process.ts";
import {
  type CommandUnderTest,
  type GatewaySettings,
  type GatewayUnderTest,
  gatewayFor,
} from "../support/gateway.ts";
import { textOf } from "../support/story.ts";
import { peersMissing } from "./peers-missing.ts";

interface Row {
  readonly release: EverythingRelease;
  readonly transport: "sse" | "stdio";
  /** Why it cannot be asked by clients that declare different things. */
  readonly asksNobody?: string;
  /** A tool that asks for a form, if it has one. */
  readonly forms?: string;
}

const ROWS: readonly Row[] = [
  {
    release: "2025.4.28",
    transport: "sse",
    asksNobody: "it exits with its only session, which is replaced for a client that declares something else",
  },
  { release: "2025.12.18", transport: "sse", forms: "startElicitation" },
  { release: "2025.4.28", transport: "stdio" },
  { release: "2025.12.18", transport: "stdio", forms: "startElicitation" },
];

const missing = peersMissing("server-everything over HTTP+SSE and stdio", () =>
  ROWS.map(({ release, transport }) => everything(release, transport)),
);

/** Stands for `test` where a release has no such thing: nothing is skipped that could be tried. */
const inapplicable = (_name: string, _story: () => Promise<void>): void => {};

describe.skipIf(missing).each(ROWS)("server-everything $release over $transport", (row) => {
  test("lists its tools, and answers a quick call", async () => {
    const { gateway, client } = await inFrontOf(row);
    expect(gateway.routes[0]?.description).toMatch(/^legacy 202[45]-/);
    const user = client();
    const { tools } = await user.result("tools/list");
    expect(tools).toContainEqual(expect.objectContaining({ name: "longRunningOperation" }));
    expect(await user.callTool("echo", { message: "é✓" })).toMatchObject({
      resultType: "complete",
      content: [{ text: "Echo: é✓" }],
      _meta: { "io.modelcontextprotocol/serverInfo": { name: "example-servers/everything" } },
    });
  });

  test("runs a long tool as a task, and tells of its progress", async () => {
    const user = (await inFrontOf(row, { mode: "always" })).client();
    const { taskId, resultType } = await user.callTool("longRunningOperation", { duration: 1, steps: 3 });
    expect(resultType).toBe("task");
    await user.taskWhen(taskId, ({ statusMessage }) => /^[12] of 3$/.test(statusMessage));
    const { status, result } = await user.settled(taskId);
    expect(status).toBe("completed");
    expect(textOf(result)).toContain("Steps: 3");
  });

  test("answers the official client", async () => {
    const client = await connected((await inFrontOf(row)).url, {});
    expect(client.getNegotiatedProtocolVersion()).toBe("2026-07-28");
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain("echo");
    const long = { name: "longRunningOperation", arguments: { duration: 0.6, steps: 2 } };
    const heard: number[] = [];
    const result = await client.callTool(long, { onprogress: ({ progress }) => void heard.push(progress) });
    expect(JSON.stringify(result.content)).toContain("Steps: 2");
    expect(heard).toEqual([1, 2]);
  });

  const { asksNobody, forms } = row;
  // Why some cannot is said in the rows.
  (asksNobody === undefined ? test : inapplicable)("has the client's model sample", async () => {
    const client = await connected((await inFrontOf(row)).url, { sampling: {} });
    client.setRequestHandler("sampling/createMessage", () => ({
      role: "assistant",
      model: "m",
      content: { type: "text", text: "Paris" },
    }));
    const result = await client.callTool({ name: "sampleLLM", arguments: { prompt: "Capital?" } });
    expect(JSON.stringify(result.content)).toContain("Paris");
  });

  (forms === undefined ? inapplicable : test)("has the user fill in a form", async () => {
    const client = await connected((await inFrontOf(row)).url, { elicitation: { form: {} } });
    client.setRequestHandler("elicitation/create", () => ({ action: "decline" }));
    const result = await client.callTool({ name: String(forms), arguments: {} });
    expect(JSON.stringify(result.content)).toContain("declin");
  });
});

describe.skipIf(missing)("a server over stdio", () => {
  test.each(["2025.4.28", "2025.12.18"] as const)(
    "is gone when the gateway is, also in the middle of a call: %s",
    async (release) => {
      const { gateway, client } = await inFrontOf({ release, transport: "stdio" }, { mode: "always" });
      const user = client();
      const { taskId } = await user.callTool("longRunningOperation", { duration: 60, steps: 300 });
      await user.taskWhen(taskId, ({ statusMessage }) => /of 300/.test(statusMessage));
      const pids = await childrenRunning(everything(release, "stdio"));
      // One for the call, and one for everything else.
      expect(pids).toHaveLength(2);

      await gateway.close();

      expect(await stillThere(pids)).toEqual([]);
    },
  );
});

/** The gateway has to find out by itself who speaks HTTP+SSE. */
async function inFrontOf(
  { release, transport }: Row,
  policy: GatewaySettings["policy"] = {},
): Promise<GatewayUnderTest> {
  const isSingle = release === "2025.4.28";
  const server: Pick<GatewaySettings, "upstream" | "sessions"> =
    transport === "sse"
      ? { upstream: await startEverything(release, "sse"), sessions: isSingle ? "single" : "lease" }
      : { upstream: command(everything(release, "stdio")) };
  return gatewayFor({ ...server, policy: { waitForMs: 60_000, ...policy } });
}

function command(script: string): CommandUnderTest {
  return { command: process.execPath, args: [script] };
}

async function connected(url: URL, capabilities: ClientCapabilities): Promise<Client> {
  const client = new Client(
    { name: "test", version: "1" },
    { capabilities, versionNegotiation: { mode: "auto" } },
  );
  await client.connect(new StreamableHTTPClientTransport(url));
  onTestFinished(() => client.close());
  return client;
}

/** The ids of the processes that this one has started with a script. */
async function childrenRunning(script: string): Promise<string[]> {
  const rows = await processes();
  return rows
    .filter(({ ppid, args }) => ppid === String(process.pid) && args.includes(script))
    .map(({ pid }) => pid);
}

/** Zombies are. */
async function stillThere(pids: readonly string[]): Promise<string[]> {
  return (await processes()).map(({ pid }) => pid).filter((pid) => pids.includes(pid));
}

async function processes(): Promise<{ pid: string; ppid: string; args: string }[]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "pid=,ppid=,args="]);
  return stdout.split("\n").map((row) => {
    const [pid = "", ppid = "", ...args] = row.trim().split(/\s+/);
    return { pid, ppid, args: args.join(" ") };
  });
}
