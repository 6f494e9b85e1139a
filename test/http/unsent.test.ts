/** Room for answers that clients have not read yet. */

import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { expect, test, vi } from "vitest";
import { Unsent } from "../../src/http/unsent.ts";

const response = () => new EventEmitter() as ServerResponse;
const here = { gone: new AbortController().signal };

test("answers wait for room in the order in which they came, and a later one does not overtake", async () => {
  const unsent = new Unsent(() => 10, undefined, 60_000);
  const give = unsent.take(response(), 10);
  const order: string[] = [];
  const waiting = ["large", "small"].map(async (name) => {
    const given = await unsent.wait(response(), name === "large" ? 10 : 1, here);
    order.push(name);
    return given;
  });
  give?.();
  const [large, small] = waiting;
  (await large)?.();
  expect(await small).toBeDefined();
  expect(order).toEqual(["large", "small"]);
});

test("who waits for too long, or has gone, gets none and keeps nobody else waiting", async () => {
  vi.useFakeTimers();
  try {
    const unsent = new Unsent(() => 10, undefined, 1_000);
    const give = unsent.take(response(), 9);
    const leaving = new AbortController();
    const left = unsent.wait(response(), 5, { gone: leaving.signal });
    const late = unsent.wait(response(), 5, here);
    leaving.abort();
    expect(await left).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await late).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
    give?.();
    expect(await unsent.wait(response(), 5, here)).toBeDefined();
  } finally {
    vi.useRealTimers();
  }
});
