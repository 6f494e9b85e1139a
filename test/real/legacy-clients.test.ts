/** Clients of three generations, with servers that know nothing of each other or of us: first directly, then through the gateway. */

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { everything, sdk } from "../peers/peers.ts";
import { connectLegacy, knowsElicitation, type LegacyTransport } from "../support/legacy-client.ts";
import type { Json } from "../support/modern-client.ts";
import { textOf } from "../support/story.ts";
import { type AtEnd, inFrontOf } from "./in-front-of.ts";
import { peersMissing } from "./peers-missing.ts";
import { startServerProcess } from "./server-process.ts";

const CLIENTS = [
  { release: "1.10", version: "2024-11-05" },
  { release: "1.22", version: "2025-06-18" },
  { release: "1.32", version: "2025-11-25" },
] as const;

const SERVERS = [
  {
    server: "2025.9.25",
    transport: "streamable-http",
    answer: { color: "green" },
    told: "Color: green",
    canSubscribe: false,
  },
  {
    server: "2025.12.18",
    transport: "streamable-http",
    answer: { name: "Ada" },
    told: "Name: Ada",
    canSubscribe: true,
  },
  {
    server: "2025.12.18",
    transport: "sse",
    answer: { name: "Ada" },
    told: "Name: Ada",
    canSubscribe: true,
  },
] as const;

const WAYS = ["directly", "through the gateway"] as const;

/** Stands for `test` where a release or a transport has no such thing: nothing is skipped that could be tried. */
const inapplicable = (_name: string, _story: () => Promise<void>): void => {};

const missing = peersMissing("The clients of the v1 SDK", () => [
  ...CLIENTS.map(({ release }) => sdk(release, "client/index")),
  ...SERVERS.map(({ server }) => everything(server)),
]);

describe.skipIf(missing).each(SERVERS)(
  "server-everything $server over $transport",
  ({ server, transport, answer, told, canSubscribe }) => {
    const cleanUps: (() => Promise<void>)[] = [];
    const urls = new Map<string, URL>();

    beforeAll(async () => {
      const atEnd: AtEnd = (cleanUp) => void cleanUps.unshift(cleanUp);
      const url = await started(server, transport, atEnd);
      const { gateway } = await inFrontOf(url, atEnd);
      urls.set("directly", url);
      urls.set("through the gateway", new URL(gateway.routes[0]?.url ?? ""));
    });
    afterAll(async () => {
      for (const cleanUp of cleanUps) await cleanUp();
    });

    describe.each(CLIENTS.flatMap((client) => WAYS.map((way) => ({ ...client, way }))))(
      "with the client of the SDK $release, $way",
      ({ release, version, way }) => {
        const connect = () => connectLegacy(release, urls.get(way) as URL, { transport, answer });

        test(`negotiates ${version}`, async () => {
          const { heard, sessionId } = await connect();

          expect(heard[0].result).toMatchObject({
            protocolVersion: version,
            serverInfo: { name: "example-servers/everything" },
            instructions: expect.stringContaining("#"),
            capabilities: { logging: {}, resources: { subscribe: true } },
          });
          expect(heard[0].result.capabilities.tasks).toEqual(
            way === "through the gateway" && version === "2025-11-25" && transport === "streamable-http"
              ? TASKS
              : undefined,
          );
          expect(sessionId === undefined).toBe(transport === "sse");
        });

        test("lists the tools that its capabilities allow", async () => {
          const { client } = await connect();
          const names = (await client.listTools()).tools.map(({ name }) => name);

          expect(names).toEqual(expect.arrayContaining(["echo", "add", "longRunningOperation", "sampleLLM"]));
          expect(names.includes("startElicitation")).toBe(knowsElicitation(release));
        });

        test("calls tools, and is told of those that do not exist", async () => {
          const { client } = await connect();

          const echoed = await client.callTool({ name: "echo", arguments: { message: "Grüße, 世界 🌍" } });
          const added = await client.callTool({ name: "add", arguments: { a: 1, b: 2 } });
          const nothing = await client.callTool({ name: "nothing", arguments: {} }).catch(String);

          expect(textOf(echoed as Json)).toBe("Echo: Grüße, 世界 🌍");
          expect(textOf(added as Json)).toContain("3");
          expect(JSON.stringify(nothing)).toContain("Unknown tool: nothing");
        });

        test("makes twenty calls at once, and none gets the answer of another", async () => {
          const { client } = await connect();
          const messages = Array.from({ length: 20 }, (_, i) => `number ${i}`);

          const echoed = await Promise.all(
            messages.map((message) => client.callTool({ name: "echo", arguments: { message } })),
          );

          expect(echoed.map((result) => textOf(result as Json))).toEqual(messages.map((m) => `Echo: ${m}`));
        });

        test("hears of the progress of a long call, and gets its result", async () => {
          const { client, heard } = await connect();
          const onprogress = vi.fn();

          const result = await client.callTool(
            { name: "longRunningOperation", arguments: { duration: 0.8, steps: 4 } },
            undefined,
            { onprogress },
          );

          expect(textOf(result as Json)).toContain("completed");
          expect(onprogress).toHaveBeenCalledWith({ progress: 1, total: 4 });
          // The client itself drops what comes in one piece with the result.
          expect(heard.flatMap(({ params }) => params?.progress ?? [])).toEqual([1, 2, 3, 4]);
        });

        test("answers for its model", async () => {
          const { client, asked } = await connect();

          const result = await client.callTool({ name: "sampleLLM", arguments: { prompt: "The capital?" } });

          expect(textOf(result as Json)).toContain("Paris");
          expect(asked).toMatchObject([
            { maxTokens: 100, messages: [{ content: { text: expect.stringContaining("The capital?") } }] },
          ]);
        });

        (knowsElicitation(release) ? test : inapplicable)("answers for its user", async () => {
          const { client, asked } = await connect();

          const result = await client.callTool({ name: "startElicitation", arguments: {} });

          expect(JSON.stringify(result.content)).toContain(told);
          expect(asked).toMatchObject([{ requestedSchema: { type: "object" } }]);
        });

        test("is asked for its roots, and hears of it in the log", async () => {
          const { client, notified } = await connect();
          const isMeant = ({ data }: Json) => data === "Roots updated: 1 root(s) received from client";

          await client.sendRootsListChanged();

          expect(await notified("notifications/message", isMeant)).toMatchObject({
            level: "info",
            logger: "everything-server",
          });
          const result = await client.callTool({ name: "listRoots", arguments: {} });
          expect(textOf(result as Json)).toContain("URI: file:///home");
        });

        test("lists resources page by page, reads and completes them", async () => {
          const { client } = await connect();

          const first = await client.listResources();
          const second = await client.listResources({ cursor: first.nextCursor });
          const templates = await client.listResourceTemplates();
          const read = await client.readResource({ uri: "test://static/resource/1" });
          const completed = await client.complete({
            ref: { type: "ref/resource", uri: "test://static/resource/{id}" },
            argument: { name: "resourceId", value: "" },
          });

          expect(first.resources[0]).toMatchObject({ uri: "test://static/resource/1" });
          expect(second.resources[0]).toMatchObject({ uri: "test://static/resource/11" });
          expect(templates.resourceTemplates).toMatchObject([{ uriTemplate: "test://static/resource/{id}" }]);
          expect(read.contents).toMatchObject([{ text: expect.stringContaining("Resource 1") }]);
          expect(completed.completion.values).toContain("5");
        });

        test("gets prompts, and sets the level of the log", async () => {
          const { client } = await connect();

          expect((await client.listPrompts()).prompts.map(({ name }) => name)).toContain("simple_prompt");
          expect(await client.getPrompt({ name: "simple_prompt" })).toMatchObject({
            messages: [{ role: "user", content: { text: "This is a simple prompt without arguments." } }],
          });
          expect(await client.setLoggingLevel("error")).toEqual({});
          expect(await client.ping()).toEqual({});
        });

        (canSubscribe ? test : inapplicable)("subscribes to a resource, and not any more", async () => {
          const { client } = await connect();
          const uri = "test://static/resource/1";

          expect(await client.subscribeResource({ uri })).toEqual({});
          expect(await client.unsubscribeResource({ uri })).toEqual({});
        });

        test("cancels a call, and goes on", async () => {
          const { client, notified } = await connect();
          const cancelling = new AbortController();
          const call = client.callTool(
            { name: "longRunningOperation", arguments: { duration: 5, steps: 50 } },
            undefined,
            { signal: cancelling.signal, onprogress: () => undefined },
          );
          const failure = call.catch(String);
          await notified("notifications/progress");

          cancelling.abort("not needed");

          expect(await failure).toContain("not needed");
          const echoed = await client.callTool({ name: "echo", arguments: { message: "still there" } });
          expect(textOf(echoed as Json)).toBe("Echo: still there");
        });

        (transport === "streamable-http" ? test : inapplicable)("ends its session", async () => {
          const { sessionId, terminate } = await connect();

          await terminate();

          const answer = await fetch(urls.get(way) as URL, {
            method: "POST",
            headers: {
              "content-type": "application/json",
              accept: "application/json, text/event-stream",
              "mcp-session-id": sessionId ?? "",
            },
            body: JSON.stringify({ jsonrpc: "2.0", id: 7, method: "tools/list" }),
          });
          expect(answer.status).toBe(400);
          expect(await answer.json()).toMatchObject({ error: { code: -32000 } });
        });
      },
    );
  },
);

/** What a session of 2025-11-25 is told of tasks where callers are not known. */
const TASKS = { cancel: {}, requests: { tools: { call: {} } } };

async function started(
  release: (typeof SERVERS)[number]["server"],
  transport: LegacyTransport,
  atEnd: AtEnd,
) {
  if (transport === "streamable-http") return startServerProcess(everything(release), atEnd);
  return new URL("/sse", await startServerProcess(everything(release, "sse"), atEnd));
}
