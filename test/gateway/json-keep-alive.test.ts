/** Answers in JSON that take long, for clients that read no streams: white space comes before them (`limits.keepAliveJson`). */

import { expect, test } from "vitest";
import { ENVELOPE } from "../http/served.ts";
import { LegacyWire } from "../support/legacy-wire.ts";
import { gate, type StorySettings, story, textResult } from "../support/story.ts";
import { type Header, header, type OpenAnswer, open } from "../wire/raw-client.ts";
import { talks } from "./paired/talks.ts";

const OFTEN = { limits: { keepAliveMs: 20, keepsJsonAlive: true }, policy: { mode: "never" } } as const;
const JSON_ONLY: readonly Header[] = [
  ["Accept", "application/json"],
  ["Content-Type", "application/json"],
];
const MODERN: readonly Header[] = [
  ...JSON_ONLY,
  ["MCP-Protocol-Version", "2026-07-28"],
  ["Mcp-Method", "tools/call"],
  ["Mcp-Name", "slow"],
];

function call(id: number, params: object = {}): string {
  return JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name: "slow", ...params } });
}

/** Settles when there is more white space than goes with the head. */
function waiting(answer: OpenAnswer): Promise<OpenAnswer> {
  return answer.until((text) => /^ {3,}$/.test(text), "white space");
}

/** A server whose only tool answers when it is told to, and a modern client that reads no streams and has called it. */
async function called(settings: StorySettings) {
  const { opened, open: release } = gate();
  const tested = await story(
    {
      "tools/call": async (exchange) => {
        await opened;
        exchange.json(textResult("done"));
      },
    },
    settings,
  );
  const answer = open(tested.url, { headers: MODERN, body: call(1, { _meta: ENVELOPE }) });
  await tested.server.arrival("tools/call");
  return { answer, release, ...tested };
}

test("a modern client gets white space, and then the JSON", async () => {
  const { answer, release } = await called(OFTEN);
  await waiting(answer);
  release();
  await answer.over();

  expect(answer.status).toBe(200);
  expect(header(answer, "content-type")).toBe("application/json");
  expect(header(answer, "transfer-encoding")).toBe("chunked");
  expect(header(answer, "x-accel-buffering")).toBe("no");
  expect(header(answer, "content-length")).toBeUndefined();
  expect(JSON.parse(answer.text)).toMatchObject({ id: 1, result: textResult("done") });
  expect(answer.isWhole).toBe(true);
});

test("an error that comes so late has the status 200, and is otherwise the same", async () => {
  const { answer, server } = await called(OFTEN);
  await waiting(answer);
  await server.close();
  await answer.over();

  expect(answer.status).toBe(200);
  expect(JSON.parse(answer.text)).toMatchObject({ id: 1, error: { code: -32603 } });
});

test("an answer that comes in time has its length and its status", async () => {
  const { answer, release } = await called({
    ...OFTEN,
    limits: { keepAliveMs: 600_000, keepsJsonAlive: true },
  });
  release();
  await answer.over();
  expect(header(answer, "content-length")).toBe(String(answer.text.length));
  expect(answer.text).toMatch(/^\{/);
});

test("without it nothing comes before the JSON", async () => {
  const { answer, release, url } = await called({
    ...OFTEN,
    limits: { keepAliveMs: 20, keepsJsonAlive: false },
  });
  // A client that reads streams has had its comments by then.
  const witness = open(url, {
    headers: [
      ...MODERN.filter(([name]) => name !== "Accept"),
      ["Accept", "application/json, text/event-stream"],
    ],
    body: call(2, { _meta: ENVELOPE }),
  });
  await witness.until((text) => text.split(":\n\n").length > 3, "comments");
  expect(answer.status).toBe(0);
  release();
  await answer.over();
  expect(answer.text).toMatch(/^\{/);
});

test("a client that has left while it waited gets its call cancelled", async () => {
  const { answer, server } = await called(OFTEN);
  await waiting(answer);
  answer.leave();
  await server.until(
    () => server.received.some(({ method }) => method === "notifications/cancelled"),
    "a cancellation",
  );
});

test("a client of an older revision gets it where the call is the gateway's own", async () => {
  const { opened, open: release } = gate();
  const { url, server } = await story(
    {
      "tools/call": async (exchange) => {
        await opened;
        exchange.json(textResult("done"));
      },
    },
    { ...OFTEN, policy: { fallback: { afterMs: 60_000, prefix: "later_" } } },
  );
  const { sessionId = "" } = await LegacyWire.connect(url);
  const answer = open(url, {
    headers: [...JSON_ONLY, ["Mcp-Session-Id", sessionId], ["MCP-Protocol-Version", "2025-11-25"]],
    body: call(7),
  });
  await server.arrival("tools/call");
  await waiting(answer);
  release();
  await answer.over();
  expect(JSON.parse(answer.text)).toEqual({ jsonrpc: "2.0", id: 7, result: textResult("done") });
});

test("the answer of a server to which a call is forwarded stays as it is", async () => {
  const { opened, open: release } = gate();
  const { url, server } = await story(
    {
      "tools/call": async (exchange) => {
        await opened;
        exchange.json(textResult("done"));
      },
    },
    OFTEN,
  );
  const { sessionId = "" } = await LegacyWire.connect(url);
  const headers: readonly Header[] = [
    ["Mcp-Session-Id", sessionId],
    ["MCP-Protocol-Version", "2025-11-25"],
  ];
  const answer = open(url, { headers: [...JSON_ONLY, ...headers], body: call(7) });
  const witness = open(url, {
    headers: [
      ["Accept", "application/json, text/event-stream"],
      ["Content-Type", "application/json"],
      ...headers,
    ],
    body: call(8),
  });
  await server.until(
    () => server.received.filter(({ method }) => method === "tools/call").length === 2,
    "calls",
  );
  await witness.until((text) => text.split(":\n\n").length > 3, "comments");
  expect(answer.status).toBe(0);
  release();
  await answer.over();
  expect(answer.text).toMatch(/^\{.*"done".*\}$/);
});

test.for([false, true])("a paired client gets it as well, with a batch: %j", async (isBatch) => {
  const { url } = await talks(OFTEN);
  const wire = await LegacyWire.connect(url, { version: "2025-03-26" });
  const { sessionId = "" } = wire;
  const slow = call(3, { name: "wait", arguments: { key: "k" } });
  const answer = open(url, {
    headers: [...JSON_ONLY, ["Mcp-Session-Id", sessionId]],
    body: isBatch ? `[${slow}]` : slow,
  });
  await waiting(answer);
  await wire.open("x/let", { key: "k" }).answer;
  await answer.over();
  expect(answer.status).toBe(200);
  expect(header(answer, "mcp-session-id")).toBe(sessionId);
  const [message] = [JSON.parse(answer.text)].flat();
  expect([Array.isArray(JSON.parse(answer.text)), message.id]).toEqual([isBatch, 3]);
});

test("a stream to listen on begins at once, with something behind its head", async () => {
  const { url } = await talks({ limits: { keepAliveMs: 600_000 } });
  const { sessionId = "" } = await LegacyWire.connect(url, { version: "2025-06-18" });
  const stream = open(url, {
    method: "GET",
    headers: [
      ["Accept", "text/event-stream"],
      ["Mcp-Session-Id", sessionId],
    ],
  });
  await stream.until((text) => text === ":\n\n", "a comment");
});
