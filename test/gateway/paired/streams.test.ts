/** The streams of a paired session: they are kept alive, and can be picked up again (2025-11-25, Transports §Resumability). */

import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { createParser } from "eventsource-parser";
import { expect, test } from "vitest";
import { LegacyWire, type WireStream } from "../../support/legacy-wire.ts";
import type { Json } from "../../support/modern-client.ts";
import { said, talks } from "./talks.ts";

/** The id of the last event that a stream has brought. */
function lastEventId(stream: WireStream): string {
  const ids: string[] = [];
  createParser({ onEvent: ({ id }) => void (id !== undefined && ids.push(id)) }).feed(stream.text);
  return ids.at(-1) ?? "";
}

const progress = (step: number) => ({
  jsonrpc: "2.0",
  method: "notifications/progress",
  params: { progressToken: "p", progress: step },
});
const CALL = { name: "wait", arguments: { key: "a" }, _meta: { progressToken: "p" } };
const NEWS = { jsonrpc: "2.0", method: "notifications/tools/list_changed" };

test("the stream of a call goes on where it broke off, and nothing is said twice", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const call = user.open("tools/call", CALL);
  await user.notify("x/say", { messages: [progress(1)] });
  await call.heard("notifications/progress");
  const id = lastEventId(call);
  call.leave();
  await call.over();
  await user.notify("x/say", { messages: [progress(2)] });
  // An answer to what was sent later shows that the server has said it.
  await user.result("x/let", { key: "a" });
  const { message, before } = await (await user.listen({ "last-event-id": id })).answer;
  expect(before.filter(({ method }) => method !== undefined)).toEqual([progress(2)]);
  expect(said(message.result)).toBe("let");
});

test("a call's stream can be picked up before anything was said on it, and while the call goes on", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const call = user.open("tools/call", CALL);
  await user.result("x/heard");
  await expect.poll(() => call.text).toMatch(/^id: /);
  const id = lastEventId(call);
  call.leave();
  await call.over();
  const resumed = await user.listen({ "last-event-id": id });
  await user.notify("x/say", { messages: [progress(1)] });
  await resumed.heard("notifications/progress");
  await user.notify("x/let", { key: "a" });
  expect(said((await resumed.answer).message.result)).toBe("let");
});

test("whoever picks a stream up has it, and the connection before ends", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const call = user.open("tools/call", CALL);
  await user.result("x/heard");
  const resumed = await user.listen({ "last-event-id": lastEventId(call) });
  expect((await call.answer).message).toBeUndefined();
  await user.notify("x/let", { key: "a" });
  expect(said((await resumed.answer).message.result)).toBe("let");
});

test("the answer can be had once more, and only by the session's own client", async () => {
  const { url } = await talks();
  const [ada, bob] = [await LegacyWire.connect(url), await LegacyWire.connect(url)];
  const call = ada.open("tools/call", { name: "echo", arguments: { said: "again" } });
  await call.answer;
  const id = lastEventId(call).replace(/\d+$/, "0");
  expect(said((await (await ada.listen({ "last-event-id": id })).answer).message.result)).toBe("again");
  const foreign = await (await bob.listen({ "last-event-id": id })).answer;
  expect([foreign.status, foreign.message.error.code]).toEqual([400, -32600]);
});

test("the stream that a session listens on goes on as well", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const first = await user.listen();
  await user.notify("x/say", { messages: [{ ...NEWS, "x-n": 1 }] });
  await first.heard(NEWS.method);
  const id = lastEventId(first);
  await user.notify("x/say", { messages: [{ ...NEWS, "x-n": 2 }] });
  await first.heard(NEWS.method, 2);
  first.leave();
  await first.over();
  const second = await user.listen({ "last-event-id": id });
  await user.notify("x/say", { messages: [{ ...NEWS, "x-n": 3 }] });
  await second.heard(NEWS.method, 2);
  expect(second.messages.map((message: Json) => message["x-n"])).toEqual([2, 3]);
});

test("when it goes on elsewhere before it was left, tasks are heard of there", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const first = await user.listen();
  await expect.poll(() => first.text).toMatch(/^id: /);
  const second = await user.listen({ "last-event-id": lastEventId(first) });
  await first.over();
  await user.result("x/heard");
  const { taskId } = await user.begin("ask", { arguments: { method: "elicitation/create", params: {} } });
  const question = await second.heard("elicitation/create");
  expect(question.id).toContain(taskId);
});

test("one of which nothing is known any more is opened anew", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const listening = await user.listen({ "last-event-id": "l99-5" });
  await user.notify("x/say", { messages: [NEWS] });
  expect(await listening.heard(NEWS.method)).toEqual(NEWS);
});

test.each(["r99-1", "nonsense", "-", "r1"])(
  "an event %j that never was cannot be gone on from",
  async (id) => {
    const { url } = await talks();
    const user = await LegacyWire.connect(url);
    const { status, message } = await (await user.listen({ "last-event-id": id })).answer;
    expect([status, message.error.code]).toEqual([400, -32600]);
  },
);

test("each message comes on one stream, the newest of those that the session listens on", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const streams = [await user.listen(), await user.listen(), await user.listen(), await user.listen()];
  const newest = await user.listen();
  // Of more than four, the first is ended.
  await streams[0]?.over();
  await user.notify("x/say", { messages: [NEWS] });
  await newest.heard(NEWS.method);
  expect(streams.flatMap(({ messages }) => messages)).toEqual([]);
});

test("while the call's own stream is gone, a question comes where the session listens", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const call = user.open("tools/call", { name: "wait", arguments: { key: "a" } });
  await user.result("x/heard");
  call.leave();
  await call.over();
  const listening = await user.listen();
  await user.notify("x/say", { messages: [{ jsonrpc: "2.0", id: 1, method: "roots/list" }] });
  expect(await listening.heard("roots/list")).toMatchObject({ id: 1 });
});

test("quiet streams get comments", async () => {
  const { url } = await talks({ limits: { keepAliveMs: 50 } });
  const user = await LegacyWire.connect(url);
  const listening = await user.listen();
  const call = user.open("tools/call", { name: "wait", arguments: { key: "a" } });
  for (const stream of [listening, call]) await expect.poll(() => stream.text).toContain(":\n\n:\n\n");
  await user.notify("x/let", { key: "a" });
  expect(said((await call.answer).message.result)).toBe("let");
  expect([...listening.garbage, ...call.garbage].filter((text) => text !== "")).toEqual([]);
});

test("clients of older revisions get no event without a message", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url, { version: "2025-06-18" });
  const call = user.open("tools/call", { name: "echo", arguments: { said: "x" } });
  const { text } = await call.answer;
  expect(text).toMatch(/^id: r1-1\nevent: message\ndata: \{.*\}\n\n$/);
});

test("a client that reads nothing is cut off before it costs the gateway its memory", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const older = await user.listen();
  const stalled = await reluctant(url, String(user.sessionId));
  const message = { ...NEWS, params: { filler: "x".repeat(1_000_000) } };
  await user.notify("x/say", { messages: [message], times: 60 });
  // As long as the newer stream is open, everything is said there.
  await older.heard(NEWS.method);
  const { bytes, isWhole } = await stalled.read();
  expect(isWhole).toBe(false);
  expect(bytes).toBeLessThan(50_000_000);
});

/** Opens a session's stream and reads nothing of it, until it is told to. */
async function reluctant(url: URL, sessionId: string) {
  const headers = { accept: "text/event-stream", "mcp-session-id": sessionId };
  const [response]: IncomingMessage[] = await once(get(url, { headers, agent: false }), "response");
  if (response === undefined) throw new Error("there was no answer");
  response.pause();
  return {
    read: async () => {
      let bytes = 0;
      const over = new Promise((resolve) => response.once("close", resolve).once("error", resolve));
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.resume();
      await over;
      return { bytes, isWhole: response.complete };
    },
  };
}
