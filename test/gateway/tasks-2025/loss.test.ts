/** A session, a stream or a server that goes away in the middle of a task. */

import { expect, test } from "vitest";
import { LegacyWire } from "../../support/legacy-wire.ts";
import type { Script } from "../../support/scripted-server.ts";
import { count, gate, story, textResult } from "../../support/story.ts";

const ALWAYS = { policy: { mode: "always" } } as const;

async function told(scripts: Readonly<Record<string, Script>>) {
  const { url, server } = await story(scripts, ALWAYS);
  return { url, server, user: await LegacyWire.connect(url) };
}

test("a client that ends its session ends its calls if the server says so, and finds out in the next", async () => {
  const { url, server, user } = await told({ "tools/call": () => undefined });
  const { taskId } = await user.begin("t");
  const call = await server.arrival("tools/call");
  server.on("DELETE", (request) => {
    server.sessions.delete(request.session.id);
    call.cut();
    request.reply(200, {});
  });
  const { status } = await user.end();
  expect(status).toBe(200);
  const next = await LegacyWire.connect(url);
  expect((await next.taskThat(taskId, "failed")).statusMessage).toContain("broke");
  expect(await next.error("tasks/result", { taskId })).toMatchObject({ code: -32603 });
});

test("a server that finishes what it has begun finishes it, though the session has ended", async () => {
  const done = gate();
  const { url, user } = await told({
    "tools/call": async (call) => {
      await done.opened;
      call.text("done");
    },
  });
  const { taskId } = await user.begin("t");
  await user.end();
  const next = await LegacyWire.connect(url);
  expect(await next.task(taskId)).toMatchObject({ status: "working" });
  done.open();
  expect(await next.result("tasks/result", { taskId })).toMatchObject(textResult("done"));
});

test("a task whose session has gone can be cancelled, and the server's refusal to hear of it does no harm", async () => {
  const { url, server, user } = await told({ "tools/call": () => undefined });
  const { taskId } = await user.begin("t");
  await server.arrival("tools/call");
  await user.end();
  const next = await LegacyWire.connect(url);
  expect(await next.result("tasks/cancel", { taskId })).toMatchObject({ status: "cancelled" });
  const cancelled = await server.arrival("notifications/cancelled");
  await cancelled.closed;
  expect(await next.task(taskId)).toMatchObject({ status: "cancelled" });
});

test("a server that dies fails its tasks, and whoever waits hears of it", async () => {
  const { server, user } = await told({ "tools/call": () => undefined });
  const { taskId } = await user.begin("t");
  await server.arrival("tools/call");
  const waiting = user.open("tasks/result", { taskId });
  await user.task(taskId);
  await server.close();
  const { message } = await waiting.answer;
  expect(message.error).toMatchObject({ code: -32603, message: expect.stringContaining("broke") });
  expect(await user.task(taskId)).toMatchObject({ status: "failed", statusMessage: message.error.message });
});

test("a stream that is cut fails the task where events have no ids, and nothing is sent again", async () => {
  const { server, user } = await told({
    "tools/call": (call) => {
      call.sse().notify("notifications/message", { level: "info", data: "begun" }).cut();
    },
  });
  const { taskId } = await user.begin("t");
  await user.taskThat(taskId, "failed");
  expect(count(server, "tools/call")).toBe(1);
});

test("where they have, it is picked up where it was cut, in the same session", async () => {
  const { server, user } = await told({
    "tools/call": (call) => {
      call.sse().event({ jsonrpc: "2.0", method: "notifications/message", params: {} }, { id: "e-1" }).cut();
    },
    GET: async (request) => {
      const stream = request.sse();
      if (request.headers["last-event-id"] !== "e-1") return;
      const call = await server.arrival("tools/call");
      stream.event(call.answer(textResult("picked up")));
      stream.end();
    },
  });
  const { taskId } = await user.begin("t");
  expect(await user.result("tasks/result", { taskId })).toMatchObject(textResult("picked up"));
  const resumed = server.received.find(({ headers }) => headers["last-event-id"] === "e-1");
  expect([resumed?.method, resumed?.session.id]).toEqual(["GET", user.sessionId]);
  expect(count(server, "tools/call")).toBe(1);
});

test("a server that does not resume fails the task, and says why", async () => {
  const { user } = await told({
    "tools/call": (call) => {
      call.sse().event({ jsonrpc: "2.0", method: "notifications/message", params: {} }, { id: "e-1" }).cut();
    },
    GET: (request) => request.error(-32600, "no such event", { status: 400 }),
  });
  const { taskId } = await user.begin("t");
  expect(await user.error("tasks/result", { taskId })).toMatchObject({
    message: expect.stringMatching(/could not be resumed.*no such event/),
  });
});

test("a server that allows one stream refuses the second to the client, and the first is heard on", async () => {
  const { server, user } = await told({
    "tools/call": async (call) => {
      await call.sse().ask("roots/list");
    },
    GET: (request) => {
      if (request.session.stream?.isOpen)
        return request.error(-32000, "Conflict: one stream", { status: 409 });
      request.session.stream = request.sse();
    },
  });
  const first = await user.listen();
  const second = await user.listen();
  const { status, message } = await second.answer;
  expect([status, message.error]).toEqual([409, { code: -32000, message: "Conflict: one stream" }]);
  await user.begin("t");
  await first.heard("roots/list");
  expect(
    server.received.filter(({ session, method }) => session.id === user.sessionId && method === "GET").length,
  ).toBe(2);
});

test("a server that allows two has the newest asked, and the other when that is closed", async () => {
  const { user } = await told({
    "tools/call": async (call) => {
      await call.sse().ask("roots/list");
    },
  });
  const [first, second] = [await user.listen(), await user.listen()];
  await user.begin("t");
  const { id } = await second.heard("roots/list");
  expect(first.messages).toEqual([]);
  second.leave();
  expect((await first.heard("roots/list")).id).toBe(id);
});
