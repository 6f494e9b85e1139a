/** `tasks/list` (2025-11-25, Tasks §Listing Tasks). */

import { expect, test } from "vitest";
import { byName, LegacyWire } from "../../support/legacy-wire.ts";
import type { Json } from "../../support/modern-client.ts";
import { count, EVERYTHING, story } from "../../support/story.ts";

const PAGE = 50;

async function told() {
  const { url, server, client } = await story(
    { "tools/call": (call) => call.text("done") },
    { policy: { mode: "always" }, identify: byName },
  );
  const as = (name: string) => LegacyWire.connect(url, { headers: { "x-user": name } });
  const modern = (name: string) => client({ capabilities: EVERYTHING, headers: { "x-user": name } });
  return { server, as, modern };
}

/** All pages, one after the other. */
async function pages(user: LegacyWire): Promise<Json[][]> {
  const found: Json[][] = [];
  let cursor: string | undefined;
  do {
    const page: Json = await user.result("tasks/list", cursor === undefined ? {} : { cursor });
    found.push(page.tasks);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return found;
}

function ids(tasks: readonly Json[]): string[] {
  return tasks.map(({ taskId }) => taskId);
}

test("whoever has no tasks gets an empty list", async () => {
  const { as, server } = await told();
  const ada = await as("ada");
  expect(await ada.result("tasks/list")).toEqual({ tasks: [] });
  expect(count(server, "tasks/list")).toBe(0);
});

test("each task is listed as tasks/get shows it", async () => {
  const { as } = await told();
  const ada = await as("ada");
  const { taskId } = await ada.begin("t");
  const task = await ada.taskThat(taskId, "completed");
  expect(await ada.result("tasks/list")).toEqual({ tasks: [task] });
});

test("tasks of both generations are there, in every session, and another's are not", async () => {
  const { as, modern } = await told();
  const ada = await as("ada");
  const legacy = await ada.begin("t");
  const other = await modern("ada").callTool("t");
  await (await as("eve")).begin("t");
  await modern("eve").callTool("t");
  const { tasks } = await (await as("ada")).result("tasks/list");
  expect(ids(tasks)).toEqual([legacy.taskId, other.taskId]);
});

test("a long list comes in pages, each task once and oldest first", async () => {
  const { as } = await told();
  const ada = await as("ada");
  const begun: string[] = [];
  for (let n = 0; n < 2 * PAGE + 1; n += 1) begun.push((await ada.begin("t")).taskId);
  const found = await pages(ada);
  expect(found.map(({ length }) => length)).toEqual([PAGE, PAGE, 1]);
  expect(ids(found.flat()).toSorted()).toEqual(begun.toSorted());
});

test("a page in which all tasks are is the last", async () => {
  const { as } = await told();
  const ada = await as("ada");
  for (let n = 0; n < PAGE; n += 1) await ada.begin("t");
  const found = await pages(ada);
  expect(found.flat().length).toBe(PAGE);
  expect(found.length).toBe(1);
});

test.each([
  ["invented", "no-cursor"],
  ["empty", ""],
  ["a number", 7],
  ["null", null],
  ["a list", []],
  ["very long", "x".repeat(10_000)],
])("a cursor that is %s is refused", async (_, cursor) => {
  const { as } = await told();
  const ada = await as("ada");
  const { status, message } = await ada.send("tasks/list", { cursor });
  expect([status, message.error.code]).toEqual([200, -32602]);
  expect(message.error.message).toContain("cursor");
});

test("another's cursor shows nothing of the other", async () => {
  const { as } = await told();
  const [ada, eve] = [await as("ada"), await as("eve")];
  for (let n = 0; n < PAGE + 1; n += 1) await ada.begin("t");
  const { taskId } = await eve.begin("t");
  const { nextCursor } = await ada.result("tasks/list");
  const { message } = await eve.send("tasks/list", { cursor: nextCursor });
  expect(message.error.code).toBe(-32602);
  expect(ids((await eve.result("tasks/list")).tasks)).toEqual([taskId]);
});
