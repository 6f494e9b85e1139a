/** What a session of 2025-11-25 gets exactly as its server said it. */

import { expect, test } from "vitest";
import { LegacyWire, WireStream } from "../../support/legacy-wire.ts";
import type { Exchange } from "../../support/scripted-exchange.ts";
import { story, textResult } from "../../support/story.ts";

const INITIALIZE = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "wire", version: "0" } },
};

/** Says it with no more and no less than this. */
function says(body: string, type = "application/json") {
  return (request: Exchange) => {
    request.response.writeHead(200, { "content-type": type });
    request.response.end(body);
  };
}

function result(members: string): string {
  return `{"jsonrpc":"2.0","id":1,"result":{${members}}}`;
}

test.each([
  ["no JSON", "{nonsense", "application/json"],
  ["nothing at all", "", "application/json"],
  ["a page", "<h1>Welcome</h1>", "text/html"],
  ["a text", "hello", "text/plain"],
  ["no result", '{"jsonrpc":"2.0","id":1}', "application/json"],
  ["a result that is no object", '{"jsonrpc":"2.0","id":1,"result":7}', "application/json"],
  [
    "an error",
    '{"jsonrpc":"2.0", "id":1, "error":{"code":-32602,"message":"no","data":1.0}}',
    "application/json",
  ],
  [
    "another's answer",
    `{"jsonrpc":"2.0","id":2,"result":{"protocolVersion":"2025-11-25"}}`,
    "application/json",
  ],
  ["no version", result('"capabilities":{"tools":{}}'), "application/json"],
  [
    "a version that is a number",
    result('"protocolVersion":2025,"capabilities":{"tools":{}}'),
    "application/json",
  ],
  ["no capabilities", result('"protocolVersion":"2025-11-25"'), "application/json"],
  [
    "capabilities that are a list",
    result('"protocolVersion":"2025-11-25","capabilities":[]'),
    "application/json",
  ],
  [
    "tools that are none",
    result('"protocolVersion":"2025-11-25","capabilities":{"tools":1}'),
    "application/json",
  ],
  [
    "a version from the future",
    result('"protocolVersion":"2099-01-01","capabilities":{"tools":{}}'),
    "application/json",
  ],
  ["a batch", `[${result('"protocolVersion":"2025-11-25"')}]`, "application/json"],
])("initialize that is answered with %s", async (_, body, type) => {
  const { url, server } = await story({});
  server.on("initialize", says(body, type));
  const stream = new WireStream(url, "POST", {}, INITIALIZE);
  const { status, headers, text } = await stream.answer;
  expect([status, headers["content-type"], text]).toEqual([200, type, body]);
});

test.each([
  ["an event that is no message", "data: nonsense\n\n"],
  ["half an event", 'data: {"jsonrpc":"2.0","id":1'],
])(
  "initialize that is answered with %s passes, and the error follows that nobody else tells",
  async (_, body) => {
    const { url, server } = await story({});
    server.on("initialize", says(body, "text/event-stream"));
    const { status, text } = await new WireStream(url, "POST", {}, INITIALIZE).answer;
    expect([status, text.slice(0, body.length)]).toEqual([200, body]);
    expect(text.slice(body.length)).toContain('{"jsonrpc":"2.0","id":1,"error":{"code":-32603,');
  },
);

test("a page to visit before a plain call is the client's affair", async () => {
  const data = {
    elicitations: [{ mode: "url", elicitationId: "e", url: "https://a.example", message: "m" }],
  };
  const { url } = await story({ "tools/call": (call) => call.error(-32042, "visit first", { data }) });
  const user = await LegacyWire.connect(url);
  const { status, message } = await user.send("tools/call", { name: "t" });
  expect([status, message.error]).toEqual([200, { code: -32042, message: "visit first", data }]);
});

test("a plain call, and what is asked in the course of it", async () => {
  const { url } = await story({
    "tools/call": async (call) => {
      const stream = call.sse();
      const { id, params } = call.message;
      stream.notify("notifications/progress", { progressToken: "p", progress: 1 });
      const answer = await stream.ask("elicitation/create", { message: "Who?" }, 0);
      stream.event(call.answer({ ...textResult("done"), got: { id, params }, answer }));
      stream.end();
    },
  });
  const user = await LegacyWire.connect(url);
  const call = { name: "t", arguments: { a: 1 }, _meta: { progressToken: "p" } };
  const asking = user.open("tools/call", call, { id: "mine" });
  const question = await asking.heard("elicitation/create");
  expect(question).toEqual({
    jsonrpc: "2.0",
    id: 0,
    method: "elicitation/create",
    params: { message: "Who?" },
  });
  await user.respond(0, { result: { action: "accept" } });
  const { message, before } = await asking.answer;
  expect(message).toEqual({
    jsonrpc: "2.0",
    id: "mine",
    result: {
      ...textResult("done"),
      got: { id: "mine", params: call },
      answer: { jsonrpc: "2.0", id: 0, result: { action: "accept" } },
    },
  });
  expect(before[0]).toEqual({
    jsonrpc: "2.0",
    method: "notifications/progress",
    params: { progressToken: "p", progress: 1 },
  });
});

test("an answer to tools/list that is no list", async () => {
  const { url, server } = await story({});
  const user = await LegacyWire.connect(url);
  server.on("tools/list", (list) => list.json({ tools: "none", "x-other": 1 }));
  expect(await user.result("tools/list")).toEqual({ tools: "none", "x-other": 1 });
  server.on("tools/list", (list) => list.error(-32601, "no tools", { data: [1] }));
  expect(await user.error("tools/list")).toEqual({ code: -32601, message: "no tools", data: [1] });
});

test("a second session hears nothing of the first one's garbage", async () => {
  const { url, server } = await story({});
  server.on("initialize", says(result('"protocolVersion":"2025-11-25","capabilities":[],"serverInfo":"?"')));
  const broken = new WireStream(url, "POST", {}, INITIALIZE);
  await broken.answer;
  server.on("initialize", (request) =>
    request.json({
      protocolVersion: "2025-11-25",
      capabilities: { tools: {} },
      serverInfo: { name: "s", version: "1" },
    }),
  );
  const { initialized } = await LegacyWire.connect(url);
  expect(initialized.capabilities).toHaveProperty("tasks");
});
