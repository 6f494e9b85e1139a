import { expect, test } from "vitest";
import { AdminTasks, MAX_NAMES } from "../../src/admin/tasks.ts";
import { taskName } from "../../src/log/task-name.ts";
import type { TaskPlace, TaskRecord, TaskStore } from "../../src/store/task-store.ts";
import type { TaskEngine } from "../../src/tasks/engine.ts";

const PLACES: readonly TaskPlace[] = Array.from({ length: MAX_NAMES + 5_000 }, (_, n) => ({
  createdAt: 1_000_000 - n,
  id: `task-${n}`,
}));

/** An index in memory, which answers at once, and how many pages were read of it. */
function indexed() {
  let pages = 0;
  const store: Pick<TaskStore, "newest" | "read"> = {
    newest: async (limit, after) => {
      pages += 1;
      const start = after === undefined ? 0 : PLACES.findIndex(({ id }) => id === after.id) + 1;
      return PLACES.slice(start, start + limit);
    },
    read: async (id) => {
      const task = { id, createdAt: 0, updatedAt: 0, inputRequests: {}, route: "r", tool: "t" };
      return { task: task as unknown as TaskRecord };
    },
  };
  const tasks = new AdminTasks({
    store: store as TaskStore,
    engine: { now: () => 0 } as TaskEngine,
    nameOf: (caller) => caller,
    withPayloads: false,
  });
  return { tasks, pages: () => pages };
}

test("a name is looked for among the last tasks, and then known", async () => {
  const { tasks, pages } = indexed();
  const name = taskName(`task-${MAX_NAMES - 1}`);
  expect((await tasks.find(name))?.name).toBe(name);
  expect(pages()).toBe(MAX_NAMES / 200);
  expect((await tasks.find(name))?.name).toBe(name);
  expect(pages()).toBe(MAX_NAMES / 200);
});

test("a name that nothing has costs a bounded walk, during which others are served", async () => {
  const { tasks, pages } = indexed();
  let turns = 0;
  let isOver = false;
  const turn = () => {
    turns += 1;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  const [unknown, tooOld] = [
    await tasks.find("000000000000"),
    await tasks.find(taskName(`task-${MAX_NAMES}`)),
  ];
  isOver = true;
  expect([unknown, tooOld]).toEqual([undefined, undefined]);
  expect(pages()).toBe((2 * MAX_NAMES) / 200);
  expect(turns).toBeGreaterThan(100);
});
