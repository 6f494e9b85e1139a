import { request } from "undici";
import { describe, expect, test } from "vitest";
import { checkAcceptable, readAccept } from "../../src/protocol/headers.ts";
import type { Script } from "../support/scripted-server.ts";
import { served } from "./served.ts";

describe("readAccept", () => {
  test.for<[accept: string | undefined, json: boolean, stream: boolean]>([
    [undefined, true, true],
    ["*/*", true, true],
    ["application/json, text/event-stream", true, true],
    ["text/event-stream,application/json", true, true],
    ["application/json", true, false],
    ["application/json; charset=utf-8, text/html", true, false],
    ["application/*", true, false],
    ["text/event-stream", false, true],
    ["Text/Event-Stream;q=0.5", false, true],
    ["text/*", false, true],
    ["text/html, */*;q=0.1", true, true],
  ])("of %j is JSON: %j, and a stream: %j", ([accept, json, stream]) => {
    expect(readAccept(accept)).toEqual({ json, stream });
  });

  test.for([
    "",
    "text/html",
    "application/jsonp",
    "application/json-seq",
    "text/event-streams",
    "json",
    "*",
    "x/*",
  ])("of %j is nothing that there is, and refused where it has to be read", (accept) => {
    expect(readAccept(accept)).toEqual({ json: false, stream: false });
    expect(() => checkAcceptable(accept)).toThrow(expect.objectContaining({ httpStatus: 406, code: -32600 }));
  });

  test.for([undefined, "*/*", "application/json", "text/event-stream"])("of %j is something", (accept) => {
    expect(() => checkAcceptable(accept)).not.toThrow();
  });
});

const chatty: Script = (call) => {
  const stream = call.sse();
  const { _meta } = call.message.params as { _meta: { progressToken: number } };
  stream.notify("notifications/progress", { progressToken: _meta.progressToken, progress: 1, total: 2 });
  stream.event(call.answer({ content: [{ type: "text", text: "done" }] }));
  stream.end();
};
const TOLD = { meta: { progressToken: "p" } };

test("an answer with something before it is a stream", async () => {
  const { client } = await served({ scripts: { "tools/call": chatty } });
  const answer = await client().send("tools/call", { name: "anything" }, { id: "s", ...TOLD });
  expect(answer.headers).toMatchObject({ "content-type": "text/event-stream", "x-accel-buffering": "no" });
  expect(answer.before).toEqual([
    {
      jsonrpc: "2.0",
      method: "notifications/progress",
      params: { progressToken: "p", progress: 1, total: 2 },
    },
  ]);
  expect(answer.message).toMatchObject({ id: "s", result: { content: [{ text: "done" }] } });
});

test("an answer with nothing before it is plain JSON", async () => {
  const { client } = await served({ scripts: { "tools/call": (call) => call.text("done") } });
  const answer = await client().send("tools/call", { name: "anything" }, TOLD);
  expect(answer.headers["content-type"]).toBe("application/json");
});

test("a client that reads JSON only gets JSON, and nothing before the answer", async () => {
  const { client } = await served({ scripts: { "tools/call": chatty } });
  const headers = { accept: "application/json" };
  const answer = await client({ headers }).send("tools/call", { name: "anything" }, TOLD);
  expect(answer.headers["content-type"]).toBe("application/json");
  expect(answer.before).toEqual([]);
  expect(answer.message).toMatchObject({ result: { content: [{ text: "done" }] } });
});

test("a client that reads streams only gets a stream", async () => {
  const { client } = await served();
  const answer = await client({ headers: { accept: "text/event-stream" } }).send("tools/list");
  expect(answer.status).toBe(200);
  expect(answer.headers["content-type"]).toBe("text/event-stream");
  expect(answer.message).toMatchObject({ id: 1, result: { tools: [{ name: "anything" }] } });
});

test("a client that reads streams only is refused in JSON all the same, with the status that says why", async () => {
  const { client } = await served();
  const answer = await client({ headers: { accept: "text/event-stream" } }).send("tasks/list");
  expect(answer.status).toBe(404);
  expect(answer.headers["content-type"]).toBe("application/json");
  expect(answer.message).toMatchObject({ id: 1, error: { code: -32601 } });
});

test("a client that reads neither is refused with 406", async () => {
  const { client } = await served();
  const answer = await client({ headers: { accept: "text/html" } }).send("tools/list");
  expect(answer.status).toBe(406);
  expect(answer.message).toMatchObject({ id: null, error: { code: -32600 } });
});

test.for(["text/html", "application/json", ""])(
  "what a legacy client reads (%j) is between it and its server",
  async (accept) => {
    const { url, server } = await served({ options: { stateless: true } });
    const message = { jsonrpc: "2.0", id: "legacy", method: "tools/list" };
    const answer = await request(url, {
      method: "POST",
      headers: { accept, "content-type": "application/json" },
      body: JSON.stringify(message),
    });
    expect(answer.statusCode).toBe(200);
    const arrived = server.received.find((exchange) => exchange.message.id === "legacy");
    expect(arrived?.headers.accept).toBe(accept);
  },
);

test("a client that reads JSON only cannot listen, and is told so instead of nothing", async () => {
  const { client } = await served();
  const jsonOnly = client({ headers: { accept: "application/json" } });
  const answer = await jsonOnly.send("subscriptions/listen", { notifications: { toolsListChanged: true } });
  expect(answer.status).toBe(406);
  expect(answer.message).toMatchObject({ id: 1, error: { code: -32600 } });
});
