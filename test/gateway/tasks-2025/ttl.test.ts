/** How long a task is to stay (2025-11-25, Tasks §TTL and Resource Management). */

import { expect, test } from "vitest";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { count, gate, story } from "../../support/story.ts";

const SILENT = { "tools/call": () => undefined } as const;
const GRANTED = 60_000;

async function told(ttlMs = GRANTED) {
  const { url, server } = await story(SILENT, { policy: { mode: "always", ttlMs } });
  return { server, user: await LegacyWire.connect(url) };
}

test.each([
  ["nothing", {}, GRANTED],
  ["null", { ttl: null }, GRANTED],
  // JSON has no other way to say it.
  ["no number that JSON knows", { ttl: Number.NaN }, GRANTED],
  ["a number", { ttl: 30_000 }, 30_000],
  ["0", { ttl: 0 }, 1_000],
  ["a fraction of a millisecond", { ttl: 0.4 }, 1_000],
  ["a fraction", { ttl: 2_000.4 }, 2_001],
  ["what is granted", { ttl: GRANTED }, GRANTED],
  ["more than is granted", { ttl: GRANTED + 1 }, GRANTED],
  ["thousands of years", { ttl: 1e15 }, GRANTED],
  ["more than a number can count", { ttl: 1e300 }, GRANTED],
  ["something besides", { ttl: 5_000, "x-other": true }, 5_000],
])("a client that wishes for %s is told what it gets", async (_, task, ttl) => {
  const { user } = await told();
  const created = await user.begin("t", { task });
  expect(created.ttl).toBe(ttl);
  // It counts from the creation, but a task is kept from its end on: so it grows while the call runs.
  const { ttl: later } = await user.task(created.taskId);
  expect(later).toBeGreaterThanOrEqual(ttl);
  expect(Number.isSafeInteger(later)).toBe(true);
});

test("an exponent is a number like any other", async () => {
  const { user } = await told();
  const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","task":{"ttl":1e4}}}`;
  expect((await user.post(body).answer).message.result.task.ttl).toBe(10_000);
});

test("a policy below a second is kept to", async () => {
  const { user } = await told(300);
  expect((await user.begin("t", { task: { ttl: 0 } })).ttl).toBe(300);
});

test.each([
  ["negative", -1],
  ["a little less than nothing", -0.001],
  ["a text", "60000"],
  ["an object", {}],
  ["a list", [1]],
  ["a boolean", true],
])("a ttl that is %s is refused, and nothing begun", async (_, ttl) => {
  const { user, server } = await told();
  expect(await user.error("tools/call", { name: "t", task: { ttl } })).toEqual({
    code: -32602,
    message: "Invalid params: task.ttl must be a number of milliseconds, 0 or more",
  });
  expect(count(server, "tools/call")).toBe(0);
});

test("when the time is over the task is unknown, whatever is asked of it", async () => {
  const done = gate();
  const { url } = await story(
    {
      "tools/call": async (call) => {
        await done.opened;
        call.text("done");
      },
    },
    { policy: { mode: "always", ttlMs: 50 } },
  );
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  done.open();
  let last = await user.send("tasks/get", { taskId });
  // As long as it takes to be forgotten, which is not said to the millisecond.
  while (last.message.error === undefined) last = await user.send("tasks/get", { taskId });
  const { error } = last.message;
  expect(error).toEqual({ code: -32602, message: "Failed to retrieve task: no such task" });
  for (const method of ["tasks/result", "tasks/cancel"])
    expect(await user.error(method, { taskId })).toEqual(error);
});
