import { expect, onTestFinished, test, vi } from "vitest";
import { AT_A_STRETCH, Rounds } from "../../src/tasks/rounds.ts";

/** So long that no test sees the end of it. */
const FOR_EVER_MS = 3_600_000;
const MANY = 3 * AT_A_STRETCH;

function rounds(visit: (n: number) => Promise<void> = async () => {}) {
  const visited: number[] = [];
  const all = Array.from({ length: MANY }, (_, n) => n);
  const made = new Rounds({
    all: () => all,
    visit: (n) => {
      visited.push(n);
      return visit(n);
    },
    pauseMs: FOR_EVER_MS,
  });
  onTestFinished(() => made.close());
  return { made, visited, all };
}

test("a round that has time visits some, and then pauses", async () => {
  const { made, visited, all } = rounds();
  made.begin();
  await vi.waitUntil(() => visited.length === AT_A_STRETCH);
  // A second one does not begin beside it.
  made.begin();
  await new Promise(setImmediate);
  expect(visited).toEqual(all.slice(0, AT_A_STRETCH));
});

test("a round in a hurry does not pause", async () => {
  const { made, visited, all } = rounds();
  made.hurry();
  await vi.waitUntil(() => visited.length === MANY);
  expect(visited).toEqual(all);
});

test("a hurry ends the pause of the present round, and visits anew what that has visited", async () => {
  const { made, visited, all } = rounds();
  made.begin();
  await vi.waitUntil(() => visited.length === AT_A_STRETCH);
  made.hurry();
  await vi.waitUntil(() => visited.length === 2 * MANY);
  expect(visited).toEqual([...all, ...all]);
});

test("the round after a hurry has time again", async () => {
  const { made, visited } = rounds();
  made.hurry();
  await vi.waitUntil(() => visited.length === MANY);
  await new Promise(setImmediate);
  made.begin();
  await vi.waitUntil(() => visited.length === MANY + AT_A_STRETCH);
  await new Promise(setImmediate);
  expect(visited.length).toBe(MANY + AT_A_STRETCH);
});

test("closing ends a pause, waits for the present visit, and begins no other", async () => {
  let finish = () => {};
  const { made, visited } = rounds((n) => {
    if (n < AT_A_STRETCH + 1) return Promise.resolve();
    return new Promise((resolve) => {
      finish = resolve;
    });
  });
  made.hurry();
  await vi.waitUntil(() => visited.length === AT_A_STRETCH + 2);
  let isClosed = false;
  const closed = made.close().then(() => {
    isClosed = true;
  });
  await new Promise(setImmediate);
  expect(isClosed).toBe(false);
  finish();
  await closed;
  expect(visited.length).toBe(AT_A_STRETCH + 2);
  made.begin();
  made.hurry();
  await made.close();
  expect(visited.length).toBe(AT_A_STRETCH + 2);
});
