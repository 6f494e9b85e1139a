import { expect, onTestFinished, test } from "vitest";
import { createLog } from "../../src/log/log.ts";
import type { StoryLine } from "../../src/store/task-store.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { withLine } from "../../src/tasks/story.ts";
import { newTask } from "../store/samples.ts";
import { SharedMemory } from "../store/shared-backend.ts";
import { heldCall } from "../support/idle-call.ts";
import { CLAIMANT } from "./running.ts";

const RECIPE = { method: "tools/call", params: { name: "job" }, headers: {} };

test("of a long story the middle is left out", () => {
  let story: readonly StoryLine[] = [];
  for (let at = 0; at < 100; at += 1) story = withLine(story, { at, what: "asked" });
  expect(story).toHaveLength(40);
  expect(story.map(({ at }) => at)).toEqual([
    ...Array.from({ length: 20 }, (_, n) => n),
    ...Array.from({ length: 20 }, (_, n) => 80 + n),
  ]);
});

test("the story goes on where another gateway takes the task over", async () => {
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  const [dead, { store }] = [await memory.replica(), await memory.replica()];
  const before: StoryLine = { at: 1, what: "left", replica: dead.store.me };
  const { id } = await dead.store.create(
    newTask({ ...CLAIMANT, isUnsent: true, storedCall: RECIPE, story: [before] }),
  );
  await dead.store.leave();
  const engine = new TaskEngine({
    store,
    log: createLog("silent"),
    revive: () => ({ call: heldCall({ storedCall: RECIPE }), maxResultBytes: 1_000 }),
  });
  onTestFinished(() => engine.close());
  await engine.begin();
  await engine.cancel(id, CLAIMANT);
  const view = await store.read(id);
  expect(view?.task.story).toEqual([before, { at: expect.any(Number), what: "adopted", replica: store.me }]);
});
