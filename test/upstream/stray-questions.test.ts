/** What a server asks where no call is under way: others may have been asked the same. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { JsonRpcRequest } from "../../src/protocol/jsonrpc.ts";
import { type AskedSession, StrayQuestions } from "../../src/upstream/sessions/stray-questions.ts";

const question = (id: number | string): JsonRpcRequest => ({
  jsonrpc: "2.0",
  id,
  method: "elicitation/create",
});

function idle(oldestRequest?: number) {
  const refused: unknown[] = [];
  const session: { -readonly [Key in keyof AskedSession]: AskedSession[Key] } = {
    isUsable: true,
    oldestRequest,
    refuse: ({ id }) => void refused.push(id),
  };
  return { session, refused };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("is left to a client that may be thinking, and refused when nobody here is at the server for a minute", async () => {
  let isInUse = true;
  const strays = new StrayQuestions({ isInUse: () => isInUse });
  const { session, refused } = idle();
  strays.add(question(1), session);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(refused).toEqual([]);
  isInUse = false;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(refused).toEqual([1]);
  strays.add(question(2), session);
  await vi.advanceTimersByTimeAsync(55_000);
  expect(refused).toEqual([1]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(refused).toEqual([1, 2]);
});

test("is refused when a request of the session's own waits with it", async () => {
  const strays = new StrayQuestions({ isInUse: () => true });
  const { session, refused } = idle(7);
  strays.add(question(1), session);
  await vi.advanceTimersByTimeAsync(1_500);
  expect(refused).toEqual([]);
  // A server that answers one request after the other does not wait for anybody.
  session.oldestRequest = 8;
  await vi.advanceTimersByTimeAsync(1_500);
  expect(refused).toEqual([]);
  await vi.advanceTimersByTimeAsync(1_500);
  expect(refused).toEqual([1]);
});

test("is forgotten when the server takes it back, and when its session ends", async () => {
  const strays = new StrayQuestions({ isInUse: () => false });
  const [one, other] = [idle(), idle()];
  strays.add(question(1), one.session);
  strays.add(question(1), other.session);
  strays.add(question(2), other.session);
  strays.withdraw("1", other.session);
  one.session.isUsable = false;
  await vi.advanceTimersByTimeAsync(70_000);
  expect([one.refused, other.refused]).toEqual([[], [2]]);
  expect(vi.getTimerCount()).toBe(0);
});

test("of more than 256 the rest are refused at once", () => {
  const strays = new StrayQuestions({ isInUse: () => true });
  const { session, refused } = idle();
  for (let id = 1; id <= 258; id += 1) strays.add(question(id), session);
  expect(refused).toEqual([257, 258]);
  strays.close();
});
