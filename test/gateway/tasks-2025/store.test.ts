/** A store that is away: clients are asked to try again, and nothing is begun, lost or told that is not kept. */

import { expect, onTestFinished, test, vi } from "vitest";
import { CellStore } from "../../../src/store/cell-store.ts";
import { StoreUnavailable } from "../../../src/store/task-store.ts";
import { byName, LegacyWire } from "../../support/legacy-wire.ts";
import type { Script } from "../../support/scripted-server.ts";
import { asksOnce, count, gate, story, textResult } from "../../support/story.ts";

const RETRY = {
  code: -32603,
  message: "The task store is not available; try again",
  data: { retryable: true, retryAfterMs: 1_000 },
};

async function told(script: Script) {
  const { url, server } = await story(
    { "tools/call": script },
    { policy: { mode: "always" }, identify: byName, limits: { maxWaitMs: 0 } },
  );
  return { server, user: await LegacyWire.connect(url, { headers: { "x-user": "ada" } }) };
}

/** The store of this process is away, as far as this is concerned. */
function away(method: "create" | "read" | "list" | "end" | "answer") {
  const spy = vi.spyOn(CellStore.prototype, method).mockRejectedValue(new StoreUnavailable("away"));
  onTestFinished(() => spy.mockRestore());
  return spy;
}

test("there is no handle before the record is durable, and no call", async () => {
  const { user, server } = await told(() => undefined);
  const durable = gate();
  const { create } = CellStore.prototype;
  const spy = vi.spyOn(CellStore.prototype, "create").mockImplementation(async function (
    this: CellStore,
    ...given
  ) {
    await durable.opened;
    return create.apply(this, given);
  });
  onTestFinished(() => spy.mockRestore());
  const beginning = user.open("tools/call", { name: "t", task: {} });
  await user.result("ping");
  expect([beginning.messages, count(server, "tools/call")]).toEqual([[], 0]);
  durable.open();
  const { message } = await beginning.answer;
  expect(await user.task(message.result.task.taskId)).toMatchObject({ status: "working" });
  await server.arrival("tools/call");
});

test("without a record there is neither", async () => {
  const { user, server } = await told((call) => call.text("done"));
  const store = away("create");
  const { status, message } = await user.send("tools/call", { name: "t", task: {} });
  expect([status, message.error]).toEqual([503, RETRY]);
  expect(count(server, "tools/call")).toBe(0);
  store.mockRestore();
  expect((await user.begin("t")).status).toBe("working");
});

test.each(["tasks/get", "tasks/result", "tasks/cancel"])(
  "%s asks to try again, and harms nothing",
  async (method) => {
    const { user, server } = await told((call) => call.text("done"));
    const { taskId } = await user.begin("t");
    await user.taskThat(taskId, "completed");
    const store = away("read");
    const { status, message } = await user.send(method, { taskId });
    expect([status, message.error]).toEqual([503, RETRY]);
    store.mockRestore();
    expect(await user.task(taskId)).toMatchObject({ status: "completed" });
    expect(count(server, "notifications/cancelled")).toBe(0);
  },
);

test("tasks/list asks to try again", async () => {
  const { user } = await told(() => undefined);
  away("list");
  expect(await user.error("tasks/list")).toEqual(RETRY);
});

test("a cancellation that cannot be written is not told to the server, and can be tried again", async () => {
  const { user, server } = await told(() => undefined);
  const { taskId } = await user.begin("t");
  await server.arrival("tools/call");
  const store = away("end");
  expect(await user.error("tasks/cancel", { taskId })).toEqual(RETRY);
  expect(count(server, "notifications/cancelled")).toBe(0);
  store.mockRestore();
  expect(await user.result("tasks/cancel", { taskId })).toMatchObject({ status: "cancelled" });
  await server.arrival("notifications/cancelled");
});

test("a result that cannot be written at first is waited for until it is", async () => {
  const done = gate();
  const { user, server } = await told(async (call) => {
    await done.opened;
    call.text("precious");
  });
  const { taskId } = await user.begin("t");
  const call = await server.arrival("tools/call");
  const waiting = user.open("tasks/result", { taskId });
  await user.task(taskId);
  const store = away("end");
  done.open();
  await call.closed;
  expect(await user.task(taskId)).toMatchObject({ status: "working" });
  store.mockRestore();
  expect((await waiting.answer).message.result).toMatchObject(textResult("precious"));
});

test("an answer that cannot be kept is refused by its status, and can be sent again", async () => {
  const { user, server } = await told(asksOnce);
  const { taskId } = await user.begin("t");
  const waiting = user.open("tasks/result", { taskId });
  const { id } = await waiting.heard("elicitation/create");
  const store = away("answer");
  // With a 2xx the client would take it for delivered (Transports §Sending Messages to the Server).
  const refused = await user.respond(id, { result: { action: "accept", content: { name: "Ada" } } });
  expect([refused.status, refused.message]).toEqual([503, { jsonrpc: "2.0", id: null, error: RETRY }]);
  expect(refused.headers["retry-after"]).toBe("1");
  expect(count(server, "answer")).toBe(0);
  store.mockRestore();
  await user.respond(id, { result: { action: "accept", content: { name: "Ada" } } });
  expect((await waiting.answer).message.result.content[0].text).toContain("Ada");
});

test("a question that comes while the store is away is asked when it is back", async () => {
  const asked = gate();
  const { user, server } = await told(async (call) => {
    await asked.opened;
    await asksOnce(call);
  });
  const stream = await user.listen();
  const { taskId } = await user.begin("t");
  await server.arrival("tools/call");
  const store = away("read");
  const tried = gate();
  store.mockImplementation(() => {
    tried.open();
    return Promise.reject(new StoreUnavailable("away"));
  });
  asked.open();
  await tried.opened;
  expect(stream.messages).toEqual([]);
  store.mockRestore();
  const { id } = await stream.heard("elicitation/create");
  await user.respond(id, { result: { action: "decline" } });
  await user.taskThat(taskId, "completed");
});
