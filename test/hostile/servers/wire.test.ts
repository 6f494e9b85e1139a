import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { gatewayFor } from "../../support/gateway.ts";
import type { Script } from "../../support/scripted-server.ts";
import { startSseServer } from "../../support/sse-server.ts";
import { count, EVERYTHING, story, textResult } from "../../support/story.ts";
import { AS_TASK, besides, expectServed, outcome, outcomes } from "./hostile.ts";

/** A server of somebody else's, which counts what reaches it. */
async function elsewhere(): Promise<{ readonly url: string; readonly visits: readonly object[] }> {
  const visits: object[] = [];
  const http = createServer((request, response) => {
    visits.push(request.headers);
    response.end("{}");
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    http.closeAllConnections();
    return new Promise<void>((resolve) => http.close(() => resolve()));
  });
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`, visits };
}

const CREDENTIAL = { headers: { authorization: "Bearer secret" } } as const;

test("a redirection to another origin is not followed", async () => {
  const other = await elsewhere();
  const away =
    (status: number): Script =>
    (call) =>
      call.reply(status, "", { location: other.url });
  const statuses = [301, 302, 303, 307, 308];
  const evil = besides((call) => away(Number(call.message.params?.name))(call));
  const { user } = await story({ "tools/call": evil }, { ...AS_TASK, ...CREDENTIAL });
  for (const status of statuses)
    expect(await outcome(user, String(status))).toMatchObject({ status: "failed", error: { code: -32603 } });
  await expectServed(user);
  const { user: stranger } = await story({ initialize: away(307) }, { ...AS_TASK, ...CREDENTIAL });
  expect(await outcome(stranger)).toMatchObject({ status: "failed" });
  expect(other.visits).toEqual([]);
});

test("the stream and the messages of HTTP+SSE do not go to another origin", async () => {
  const other = await elsewhere();
  const greetings = [
    (visit: Parameters<Script>[0]) => void visit.sse().event(other.url, { event: "endpoint" }),
    (visit: Parameters<Script>[0]) => visit.reply(307, "", { location: other.url }),
    (visit: Parameters<Script>[0]) =>
      void visit.sse().event(`//${new URL(other.url).host}/mcp`, { event: "endpoint" }),
  ];
  for (const greet of greetings) {
    const server = await startSseServer({}, { greet });
    onTestFinished(server.close);
    const { client } = await gatewayFor({
      upstream: server.url,
      transport: "sse",
      ...AS_TASK,
      ...CREDENTIAL,
    });
    expect(await outcome(client())).toMatchObject({ status: "failed", error: { code: -32603 } });
  }
  expect(other.visits).toEqual([]);
});

const BODIES: [string, (call: Parameters<Script>[0], text: string) => void][] = [
  ["a web page", (call) => call.reply(200, "<html>")],
  ["JSON that calls itself HTML", (call, text) => call.reply(200, text)],
  ["JSON that calls itself a stream", (call, text) => call.sse().raw(text).end()],
  ["a stream that calls itself JSON", (call, text) => call.reply(200, `data: ${text}\n\n`, TYPE)],
  ["JSON without a type", (call, text) => call.response.writeHead(200).end(text)],
  ["nothing", (call) => call.reply(200, "", TYPE)],
  ["half of it", (call, text) => call.reply(200, text.slice(0, -9), TYPE)],
  ["a byte order mark", (call, text) => call.reply(200, `\ufeff${text}`, TYPE)],
  ["NULs", (call, text) => call.reply(200, `\0${text}\0`, TYPE)],
  ["two answers", (call, text) => call.reply(200, text + text, TYPE)],
  ["a batch", (call, text) => call.reply(200, `[${text}]`, TYPE)],
  [
    "what is compressed",
    (call, text) => call.response.writeHead(200, { ...TYPE, "content-encoding": "gzip" }).end(gzipSync(text)),
  ],
  [
    "a stream that is compressed",
    (call, text) =>
      call.response
        .writeHead(200, { "content-type": "text/event-stream", "content-encoding": "gzip" })
        .end(gzipSync(`data: ${text}\n\n`)),
  ],
  [
    "a refusal that is compressed",
    (call, text) => call.response.writeHead(500, { ...TYPE, "content-encoding": "br" }).end(text),
  ],
  [
    "less than it says",
    (call, text) =>
      void call.response.writeHead(200, { ...TYPE, "content-length": 9_999 }).write(text, () => call.cut()),
  ],
  ["HTTP 204", (call) => call.response.writeHead(204).end()],
  [
    "HTTP 999",
    (call, text) =>
      call.request.socket.end(`HTTP/1.1 999 Odd\r\ncontent-length: ${text.length}\r\n\r\n${text}`),
  ],
  ["HTTP 199", (call, text) => call.request.socket.end(`HTTP/1.1 199 Odd\r\n\r\n${text}`)],
  [
    "a bad chunk",
    (call) =>
      call.request.socket.end(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
      ),
  ],
  [
    "two lengths",
    (call, text) =>
      call.request.socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n${text}`),
  ],
  ["no HTTP at all", (call) => call.request.socket.end("SSH-2.0-OpenSSH_9.6\r\n")],
];
const TYPE = { "content-type": "application/json" };
/** Servers of 2025-03-26 may answer with a batch, and a byte order mark may be ignored (RFC 8259 §8.1). */
const USABLE: ReadonlySet<string> = new Set(["a batch", "a byte order mark"]);

test("an answer that cannot be read ends its task and nothing else", async () => {
  const evils = BODIES.map(([what, evil]): [string, Script] => [
    what,
    (call) => evil(call, JSON.stringify(call.answer(textResult("said")))),
  ]);
  const tasks = await outcomes(evils);
  for (const [what] of BODIES)
    expect([what, tasks.get(what).status]).toEqual([what, USABLE.has(what) ? "completed" : "failed"]);
});

test("what is no text becomes text, and no other message", async () => {
  const { user } = await story(
    {
      "tools/call": (call) => {
        const text = Buffer.from(
          JSON.stringify(call.answer(textResult("a\u0001b"))).replace("\\u0001", "\x01"),
          "latin1",
        );
        text[text.indexOf(1)] = 0xff;
        call.response.writeHead(200, TYPE).end(text);
      },
    },
    AS_TASK,
  );
  expect(await outcome(user)).toMatchObject({
    status: "completed",
    result: { content: [{ text: "a\ufffdb" }] },
  });
});

test("what a server wants in its challenge reaches the client, if a header can say it", async () => {
  const raw =
    (value: string): Script =>
    (call) =>
      void call.request.socket.end(
        `HTTP/1.1 401 Unauthorized\r\nwww-authenticate: ${value}\r\ncontent-length: 0\r\n\r\n`,
      );
  const { user, server } = await story(
    { "tools/call": raw('Bearer realm="a"') },
    { policy: { mode: "never" } },
  );
  const plain = await user.send("tools/call", { name: "t" });
  expect([plain.status, plain.headers["www-authenticate"]]).toEqual([401, 'Bearer realm="a"']);
  server.on("tools/call", raw('Bearer realm="\u20ac"'));
  const odd = await user.send("tools/call", { name: "t" });
  expect([odd.status, odd.headers["www-authenticate"]]).toEqual([
    401,
    expect.stringMatching(/^Bearer realm="[^"]+"$/),
  ]);
  server.on("tools/call", raw(`Bearer realm="${"x".repeat(100_000)}"`));
  expect((await user.send("tools/call", { name: "t" })).message.error.message).toMatch(/Headers Overflow/i);
});

const SESSIONS: [string, string][] = [
  ["with letters that no id has", "\u00e9\u20ac"],
  ["of a hundred kilobytes", "x".repeat(100_000)],
  ["with a blank", "a b"],
  ["that is empty", ""],
];

test.each(SESSIONS)("a session id %s is the server's own trouble", async (_, id) => {
  const body = (id: unknown) =>
    JSON.stringify({
      jsonrpc: "2.0",
      id,
      result: { protocolVersion: "2025-06-18", capabilities: {}, serverInfo: { name: "s", version: "1" } },
    });
  const { user, server } = await story(
    {
      initialize: (call) => {
        const text = body(call.message.id);
        const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: ${id}\r\ncontent-length: ${text.length}\r\n\r\n`;
        call.request.socket.end(head + text);
      },
    },
    AS_TASK,
  );
  // It has no such session, as it will say itself.
  expect(await outcome(user)).toMatchObject({ status: "failed" });
  expect(count(server, "initialize")).toBeLessThan(10);
});

test("a session that changes its name changes nothing, and its cookies are its own", async () => {
  const { user, server } = await story(
    {
      "tools/call": (call) =>
        call.json(textResult("done"), { "mcp-session-id": "another", "set-cookie": "a=1; Path=/" }),
    },
    AS_TASK,
  );
  for (const _ of [1, 2]) expect(await outcome(user)).toMatchObject({ status: "completed" });
  const named = server.received.map(({ headers }) => headers["mcp-session-id"]);
  expect(named).not.toContain("another");
  // Its cookies travel with it, and with no other (RFC 6265 §5.4).
  const cookies = server.received.map(({ headers }) => headers.cookie ?? "none");
  expect(cookies.every((cookie) => ["none", "a=1"].includes(cookie))).toBe(true);
});

const NONSENSE: [string, object, RegExp | undefined][] = [
  ["a version that is a list", { protocolVersion: ["2025-06-18"] }, /speaks protocol version/],
  ["fifty megabytes of instructions", { instructions: "x".repeat(50_000_000) }, /characters of itself/],
  ["capabilities that are a text", { capabilities: "all" }, undefined],
  ["capabilities that are a list", { capabilities: [["tools"]] }, undefined],
  ["a name that is a number", { serverInfo: 7, instructions: {} }, undefined],
];

test.each(NONSENSE)("a server that says of itself %s", async (_, said, refusal) => {
  const { user } = await story(
    {
      initialize: (call) =>
        call.json({ protocolVersion: "2025-06-18", capabilities: {}, serverInfo: {}, ...said }),
      "tools/call": (call) => call.text("good"),
    },
    { ...AS_TASK, startTimeoutMs: 200_000 },
  );
  const task = await outcome(user);
  expect([task.status, refusal === undefined || refusal.test(task.error.message)]).toEqual([
    refusal === undefined ? "completed" : "failed",
    true,
  ]);
});

const LISTS: [string, (page: number) => object, number][] = [
  ["a page that comes after itself", () => ({ tools: [], nextCursor: "same" }), 2],
  ["pages without end", (page) => ({ tools: [], nextCursor: `${page}` }), 100],
  ["a cursor that is none", () => ({ tools: [], nextCursor: { a: 1 } }), 1],
  [
    "a hundred thousand tools",
    () => ({ tools: Array.from({ length: 100_000 }, (_, n) => ({ name: `t${n}` })) }),
    1,
  ],
  ["tools that are none", () => ({ tools: { a: 1 } }), 1],
];

test.each(LISTS)("a list of %s keeps no call waiting", async (_, list, pages) => {
  const { client, server } = await story(
    {
      "tools/list": (call) => call.json(list(count(server, "tools/list")) as never),
      "tools/call": (call) => call.text("good"),
    },
    AS_TASK,
  );
  const user = client({ capabilities: EVERYTHING });
  const startedAt = performance.now();
  // A header that mirrors an argument has the list looked at.
  const { taskId } = await user.callTool("good", { a: "b" });
  expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
  await server.until(() => count(server, "tools/list") >= pages, `${pages} pages`);
  expect(await outcome(user, "good")).toMatchObject({ status: "completed" });
  // The tool is in none of them, and so they may be looked at again, but not twice in a second.
  const seconds = (performance.now() - startedAt) / 1_000;
  expect(count(server, "tools/list")).toBeLessThanOrEqual((2 + seconds) * pages + 1);
});
