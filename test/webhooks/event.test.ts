import { expect, test } from "vitest";
import type { InputRequest } from "../../src/store/task-store.ts";
import { type EventFilter, eventOf } from "../../src/webhooks/subscriptions/event.ts";
import { BORN, completed, TASK } from "../store/samples.ts";

const ENDED = { kind: "ended", at: BORN + 10, task: TASK.id, mark: "--------" } as const;
const ASKED = { ...ENDED, kind: "asked" } as const;
const outcome = { ...completed("done"), endedAt: BORN + 9 };
const dataOf = (told: string | undefined) => told && JSON.parse(told).data;

test.each([
  [{}, true],
  [{ taskId: TASK.id }, true],
  [{ taskId: "other" }, false],
  [{ tool: TASK.tool }, true],
  [{ tool: "other" }, false],
  [{ statuses: ["failed", "completed"] }, true],
  [{ statuses: ["failed"] }, false],
  [{ taskId: TASK.id, tool: "other" }, false],
] as const)("of a completed task whoever wants %j is told: %s", (filter: EventFilter, isTold) => {
  const told = eventOf({ task: TASK, outcome }, ENDED, filter);
  expect(told !== undefined).toBe(isTold);
});

test("a task that was lost has failed", () => {
  const lost = { kind: "lost", endedAt: BORN + 9, reason: "gone" } as const;
  const told = eventOf({ task: TASK, outcome: lost }, ENDED, {});
  expect(dataOf(told)).toEqual({ taskId: TASK.id, status: "failed", server: "route", tool: "tool" });
  expect(JSON.parse(told ?? "").timestamp).toBe(new Date(BORN + 9).toISOString());
});

test.each([
  ["what this generation of clients is asked", { a: { method: "elicitation/create" } }, true],
  ["what it is not", { a: { method: "ping" } }, false],
  ["what has been answered since", {}, true],
] as readonly (readonly [string, Record<string, InputRequest>, boolean])[])(
  "of %s it is told, or not",
  (_, inputRequests, isTold) => {
    const told = eventOf({ task: { ...TASK, inputRequests } }, ASKED, {});
    expect(dataOf(told)?.status).toBe(isTold ? "input_required" : undefined);
  },
);
