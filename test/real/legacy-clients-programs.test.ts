/** Programs of the legacy generation that somebody points at a URL: first at the server's, then at the gateway's. */

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { CreateMessageRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { everything, inspector1, mcpRemote, node24 } from "../peers/peers.ts";
import type { Json } from "../support/modern-client.ts";
import { textOf } from "../support/story.ts";
import { type AtEnd, inFrontOf } from "./in-front-of.ts";
import { peersMissing } from "./peers-missing.ts";
import { startServerProcess } from "./server-process.ts";
import { wiretap } from "./wiretap.ts";

const PATIENCE_MS = 20_000;
const RELEASE = "2025.12.18";

const cleanUps: (() => Promise<void>)[] = [];
const urls = { http: new Map<string, URL>(), sse: new Map<string, URL>() };

beforeAll(async () => {
  const atEnd: AtEnd = (cleanUp) => void cleanUps.unshift(cleanUp);
  const servers = {
    http: await startServerProcess(everything(RELEASE), atEnd),
    sse: new URL("/sse", await startServerProcess(everything(RELEASE, "sse"), atEnd)),
  };
  for (const kind of ["http", "sse"] as const) {
    const { gateway } = await inFrontOf(servers[kind], atEnd);
    urls[kind].set("directly", servers[kind]);
    urls[kind].set("through the gateway", new URL(gateway.routes[0]?.url ?? ""));
  }
});
afterAll(async () => {
  for (const cleanUp of cleanUps) await cleanUp();
});

const WAYS = (["http", "sse"] as const).flatMap((kind) =>
  ["directly", "through the gateway"].map((way) => ({ kind, way })),
);

describe.skipIf(peersMissing("mcp-remote", mcpRemote)).each(WAYS)(
  "mcp-remote over $kind, $way",
  ({ kind, way }) => {
    test("brings a server to a client that knows nothing but standard streams", async () => {
      const { client, asked } = await remote(urls[kind].get(way) as URL, kind);
      const progress: unknown[] = [];

      expect(client.getServerVersion()).toMatchObject({ name: "example-servers/everything" });
      expect((await client.listTools()).tools.map(({ name }) => name)).toContain("longRunningOperation");
      const echoed = await client.callTool({ name: "echo", arguments: { message: "hello" } });
      const worked = await client.callTool(
        { name: "longRunningOperation", arguments: { duration: 0.5, steps: 2 } },
        undefined,
        { onprogress: (step) => void progress.push(step) },
      );
      const sampled = await client.callTool({ name: "sampleLLM", arguments: { prompt: "The capital?" } });

      expect(textOf(echoed as Json)).toBe("Echo: hello");
      expect(textOf(worked as Json)).toContain("completed");
      expect(progress).toContainEqual({ progress: 1, total: 2 });
      expect(textOf(sampled as Json)).toContain("Paris");
      expect(asked).toHaveLength(1);
    });
  },
);

describe.skipIf(peersMissing("The inspector 1.x", () => [node24(), inspector1()])).each(WAYS)(
  "the inspector 1.x over $kind, $way",
  ({ kind, way }) => {
    const inspect = (...args: string[]) =>
      run([(urls[kind].get(way) as URL).href, "--transport", kind, ...args]);

    test("lists the tools", async () => {
      const { tools } = await inspect("--method", "tools/list");
      expect(tools).toContainEqual(expect.objectContaining({ name: "echo" }));
    });

    test("calls one that is quick, and one that is not", async () => {
      const call = ["--method", "tools/call", "--tool-name"];
      expect(await inspect(...call, "echo", "--tool-arg", "message=hello")).toEqual({
        content: [{ type: "text", text: "Echo: hello" }],
      });
      expect(
        await inspect(...call, "longRunningOperation", "--tool-arg", "duration=0.8", "steps=2"),
      ).toMatchObject({ content: [{ text: expect.stringContaining("completed") }] });
    });

    test("reads a resource, gets a prompt and sets the level of the log", async () => {
      const read = await inspect("--method", "resources/read", "--uri", "test://static/resource/1");
      const got = await inspect("--method", "prompts/get", "--prompt-name", "simple_prompt");
      const set = await inspect("--method", "logging/setLevel", "--log-level", "debug");

      expect(read).toMatchObject({ contents: [{ uri: "test://static/resource/1" }] });
      expect(got).toMatchObject({ messages: [{ role: "user" }] });
      expect(set).toEqual({});
    });
  },
);

describe
  .skipIf(peersMissing("The programs", () => [mcpRemote(), node24(), inspector1()]))
  .each(WAYS.filter(({ kind }) => kind === "http"))("the revision of 2025-11-25, $way", ({ kind, way }) => {
  test("is what mcp-remote speaks for its client", async () => {
    const tap = await wiretap(urls[kind].get(way) as URL);
    const { client } = await remote(tap.url, kind);
    await client.listTools();
    expect(tap.at("tools/list").headers["mcp-protocol-version"]).toBe("2025-11-25");
  });

  test("is what the inspector speaks", async () => {
    const tap = await wiretap(urls[kind].get(way) as URL);
    await run([tap.url.href, "--transport", kind, "--method", "tools/list"]);
    expect(tap.at("tools/list").headers["mcp-protocol-version"]).toBe("2025-11-25");
  });
});

/** A client that talks to mcp-remote, which keeps what it knows of servers in a folder of its own. */
async function remote(url: URL, kind: "http" | "sse") {
  const home = await mkdtemp(join(tmpdir(), "mcp-remote-"));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const client = new Client({ name: "test", version: "1" }, { capabilities: { sampling: {} } });
  const asked: unknown[] = [];
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
    asked.push(params);
    return { model: "none", role: "assistant", content: { type: "text", text: "Paris" } };
  });
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [mcpRemote(), url.href, "--allow-http", "--transport", `${kind}-only`],
    env: { HOME: home, USERPROFILE: home, MCP_REMOTE_CONFIG_DIR: home },
    stderr: "ignore",
  });
  await client.connect(transport);
  onTestFinished(() => client.close());
  return { client, asked };
}

/** What the inspector prints, as JSON. */
function run(args: readonly string[]): Promise<Json> {
  return new Promise((resolve, reject) => {
    execFile(
      node24(),
      [inspector1(), "--cli", ...args],
      { timeout: PATIENCE_MS },
      (error, stdout, stderr) => {
        if (error) reject(new Error(`the inspector has failed\n${stdout}${stderr}`, { cause: error }));
        else resolve(JSON.parse(stdout));
      },
    );
  });
}
