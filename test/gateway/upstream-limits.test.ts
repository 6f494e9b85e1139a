import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Script } from "../support/scripted-server.ts";
import { count, gate, story, textOf, textResult } from "../support/story.ts";

const LIMIT = { policy: { maxResultBytes: 100_000 } } as const;

const SIZES: [string, (text: string) => Script][] = [
  ["JSON", (text) => (call) => call.text(text)],
  [
    "an event",
    (text) => (call) =>
      call
        .sse()
        .event(call.answer(textResult(text)))
        .end(),
  ],
  [
    "an event with an id",
    (text) => (call) =>
      call
        .sse()
        .event(call.answer(textResult(text)), { id: "1" })
        .end(),
  ],
];

test.each(SIZES)("a result that is larger than allowed fails with both sizes, as %s", async (_, large) => {
  const { user } = await story(
    { "tools/call": large("x".repeat(150_000)) },
    { ...LIMIT, tools: [{ match: "task", mode: "always" }] },
  );
  const message = /^The result has 150\d\d\d bytes, more than the 100000 of maxResultBytes$/;
  expect((await user.send("tools/call", { name: "t" })).message.error.message).toMatch(message);
  const { taskId } = await user.callTool("task");
  const task = await user.settled(taskId);
  expect(task).toMatchObject({ status: "failed", error: { code: -32603 } });
  expect(task.error.message).toMatch(message);
});

test.each(SIZES)("a result far beyond the limit is not even read, as %s", async (_, large) => {
  const { user, server } = await story(
    { "tools/call": large("x".repeat(1_000_000)) },
    { ...LIMIT, tools: [{ match: "task", mode: "always" }] },
  );
  const message = /larger than 265536 bytes/;
  expect((await user.send("tools/call", { name: "t" })).message.error.message).toMatch(message);
  const { taskId } = await user.callTool("task");
  expect((await user.settled(taskId)).error.message).toMatch(message);
  expect(count(server, "tools/call")).toBe(2);
});

test("a result of 50 MB is refused, with both sizes, by the default limit", async () => {
  const text = "x".repeat(50_000_000);
  const { user } = await story({ "tools/call": (call) => call.text(text) }, { policy: { mode: "never" } });
  const { message } = await user.send("tools/call", { name: "t" });
  expect(message.error.message).toMatch(
    /^The result has 500\d{5} bytes, more than the 33554432 of maxResultBytes$/,
  );
});

const HANDSHAKES: [string, Script, RegExp][] = [
  ["garbage", (call) => call.reply(200, { hello: 1 }), /cannot be used: it is no JSON-RPC message/],
  ["HTML", (call) => call.reply(200, "<html>"), /no JSON/],
  ["an error", (call) => call.error(-32602, "not you"), /refused initialize: not you/],
  ["no version", (call) => call.json({}), /protocol version undefined, expected one of 2025-11-25/],
  [
    "an unknown version",
    (call) => call.json({ protocolVersion: "1999-01-01" }),
    /protocol version "1999-01-01"/,
  ],
  ["a number", (call) => call.json({ protocolVersion: 1 }), /protocol version 1/],
  ["a cut", (call) => call.cut(), /connection to the server broke/],
];

test.each(HANDSHAKES)(
  "a server that answers initialize with %s is never called",
  async (_, script, message) => {
    const { user, server } = await story({ initialize: script });
    const answer = await user.send("tools/call", { name: "t" });
    expect(answer).toMatchObject({ status: 200, message: { error: { code: -32603 } } });
    expect(answer.message.error.message).toMatch(message);
    expect(count(server, "tools/call")).toBe(0);
  },
);

test("a server may take its time to begin, and the window has not begun by then", async () => {
  const ready = gate();
  let handshakes = 0;
  const { user, server } = await story(
    {
      initialize: async (call) => {
        handshakes += 1;
        // The first are for the lists.
        if (handshakes > 2) await ready.opened;
        call.json({ protocolVersion: "2025-06-18", capabilities: {}, serverInfo: {} });
      },
      "tools/call": (call) => call.text("quick"),
    },
    { policy: { waitForMs: 100 } },
  );
  const pending = user.callTool("t");
  await server.arrival("initialize", 3);
  let isAnswered = false;
  void pending.finally(() => {
    isAnswered = true;
  });
  await sleep(300);
  // Three windows long there was no handle. Once the call runs, it is up to the machine whether it is answered within the window.
  expect(isAnswered).toBe(false);
  ready.open();
  const answer = await pending;
  const { result } = answer.resultType === "task" ? await user.settled(answer.taskId) : { result: answer };
  expect(textOf(result)).toBe("quick");
});

test("a server that never takes notifications/initialized is not called, and is given up after startTimeout", async () => {
  const { user, server } = await story(
    { "notifications/initialized": () => {} },
    { startTimeoutMs: 300, policy: { waitForMs: 20_000 } },
  );
  const { message } = await user.send("tools/call", { name: "t" });
  expect(message.error).toMatchObject({
    code: -32603,
    message: "The server did not take notifications/initialized within 300 ms (startTimeout)",
  });
  expect(count(server, "tools/call")).toBe(0);
});
