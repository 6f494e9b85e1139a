/** What goes to a legacy client as it is, and where the gateway looks at it on its way. */

import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { gatewayFor } from "../../support/gateway.ts";
import { LegacyWire } from "../../support/legacy-wire.ts";
import type { Script } from "../../support/scripted-server.ts";
import { startSseServer } from "../../support/sse-server.ts";
import { form, gate, story, textResult } from "../../support/story.ts";
import { AS_TASK, answerText, besides, expectServed, nested, outcome } from "./hostile.ts";

const TYPE = { "content-type": "application/json" };

test("a list that is compressed all the same is neither unpacked nor amended", async () => {
  const bomb = gzipSync(Buffer.alloc(20_000_000, " "));
  const { url } = await story({
    "tools/list": (call) =>
      void call.response.writeHead(200, { ...TYPE, "content-encoding": "gzip" }).end(bomb),
  });
  const user = await LegacyWire.connect(url);
  const list = user.post({ jsonrpc: "2.0", id: 1, method: "tools/list" }, { accept: "application/json" });
  const { headers } = await list.head;
  await list.over();
  expect([headers["content-encoding"], headers["content-length"]]).toEqual(["gzip", undefined]);
  expect(Buffer.byteLength(list.text)).toBeGreaterThan(0);
});

const LISTS: [string, string][] = [
  ["levels", nested(5_000)],
  ["tools that are none", `[${"{},".repeat(100_000)}null]`],
  ["another thing", '"tools"'],
];

test.each(LISTS)("a list of %s reaches the client as it is", async (_, tools) => {
  let text = "";
  const { url } = await story({
    "tools/list": (call) => {
      text = `{"jsonrpc":"2.0","id":${call.message.id},"result":{"tools":${tools}}}`;
      call.response.writeHead(200, TYPE).end(text);
    },
  });
  const user = await LegacyWire.connect(url);
  expect((await user.send("tools/list")).text).toBe(text);
});

const LATE: [string, (id: unknown) => string, RegExp][] = [
  [
    "more values than there may be",
    (id) => answerText(id, `[${"{},".repeat(2_100_000)}{}]`),
    /more than 2000000 values/,
  ],
  ["what is no JSON", () => randomBytes(100).toString("latin1"), /answered HTTP 200/],
  ["somebody else's answer", () => answerText("other", "1"), /answered HTTP 200/],
];

test.each(LATE)(
  "an answer with %s, to a client that was kept waiting, is an error",
  async (_, answer, message) => {
    const waited = gate();
    const { url } = await story(
      {
        "tools/call": async (call) => {
          await waited.opened;
          call.response.writeHead(200, TYPE).end(answer(call.message.id));
        },
      },
      { policy: { mode: "never" }, limits: { keepAliveMs: 50 } },
    );
    const user = await LegacyWire.connect(url);
    const call = user.open("tools/call", { name: "evil" });
    // The client has a stream by then, in which all that is left to send is an event.
    await call.head;
    waited.open();
    expect((await call.answer).message.error.message).toMatch(message);
  },
);

const ENDINGS: [string, Script, RegExp][] = [
  [
    "levels",
    (call) => call.response.writeHead(200, TYPE).end(answerText(call.message.id, nested(200))),
    /nested deeper/,
  ],
  [
    "a thousand questions",
    (call) => {
      const stream = call.sse();
      for (let id = 0; id < 1_000; id += 1) void stream.ask("elicitation/create", form("?"), id);
    },
    /more than 100 questions at once/,
  ],
  [
    "questions of kinds that are properties of every object",
    (call) => {
      const stream = call.sse();
      for (const method of ["constructor", "__proto__", "toString"]) void stream.ask(method, { a: 1 });
      stream.event({ jsonrpc: "2.0", id: call.message.id, error: { code: 7, message: "its own" } }).end();
    },
    /^its own$/,
  ],
];

test.each(ENDINGS)("a task of a legacy client ends with %s", async (_, evil, message) => {
  const { url } = await story({ "tools/call": besides(evil) }, AS_TASK);
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("evil");
  await user.taskThat(taskId, "failed");
  expect((await user.error("tasks/result", { taskId })).message).toMatch(message);
  const { taskId: good } = await user.begin("good");
  await user.taskThat(good, "completed");
});

const EVENTS: [string, string, RegExp][] = [
  ["nested too deeply", `data: ${nested(5_000)}\n\n`, /nested deeper than 128 levels/],
  ["without end", "x".repeat(2_000_000), /larger than 1065536 bytes/],
];

test.each(EVENTS)("an event of HTTP+SSE that is %s ends its session", async (_, bytes, message) => {
  const server = await startSseServer({
    "tools/call": (call, stream) => {
      call.accept();
      if (call.message.params?.name === "good") stream.event(call.answer(textResult("good")));
      else stream.raw(bytes);
    },
  });
  const { client } = await gatewayFor({
    upstream: server.url,
    transport: "sse",
    policy: { ...AS_TASK.policy, maxResultBytes: 500_000 },
  });
  const user = client();
  expect((await outcome(user)).error.message).toMatch(message);
  await expectServed(user);
  await server.close();
});
