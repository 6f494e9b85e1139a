/** When a server that does not start is started again. */

import { describe, expect, test } from "vitest";
import { UpstreamFailure } from "../../src/upstream/failure.ts";
import { Restarts } from "../../src/upstream/sessions/restarts.ts";

const NOT_STARTED = new UpstreamFailure("The server exited with code 1", {
  mayHaveRun: false,
  hasStarted: false,
});
const REFUSED = new UpstreamFailure("The server refused initialize: not you", { mayHaveRun: false });

test("a start that fails is followed by a pause, which doubles up to half a minute", async () => {
  const { attempt, pass, starts } = clocked();
  const pauses = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
  for (const [failures, pause] of pauses.entries()) {
    await expect(attempt(fails)).rejects.toBe(NOT_STARTED);
    pass(pause - 1);
    await expect(attempt(fails)).rejects.toThrow("it will not be started again for another 0.0 s");
    pass(1);
    expect(starts()).toBe(failures + 1);
  }
});

test("whoever asks meanwhile is told what was wrong, and when it is tried again", async () => {
  const { attempt, restarts, pass } = clocked();
  await attempt(fails).catch(() => undefined);
  pass(100);
  const refusal = {
    message: "The server exited with code 1; it will not be started again for another 0.4 s",
    facts: { mayHaveRun: false },
  };
  await expect(attempt(works)).rejects.toMatchObject(refusal);
  expect(() => restarts.check()).toThrow(refusal.message);
});

test("a start that succeeds makes everything good", async () => {
  const { attempt, pass } = clocked();
  for (const pause of [500, 1_000]) {
    await attempt(fails).catch(() => undefined);
    pass(pause);
  }
  expect(await attempt(works)).toBe("started");
  await attempt(fails).catch(() => undefined);
  pass(500);
  expect(await attempt(works)).toBe("started");
});

describe("nothing new is told", () => {
  test("by starts that fail together", async () => {
    const { attempt, pass } = clocked();
    const together = Array.from({ length: 8 }, () => attempt(fails));
    await Promise.allSettled(together);
    pass(500);
    expect(await attempt(works)).toBe("started");
  });

  test("by a start that was under way when another failed, and fails long after", async () => {
    const { attempt, pass } = clocked();
    let fail = () => {};
    const slow = attempt(() => new Promise((_, reject) => (fail = () => reject(NOT_STARTED))));
    await attempt(fails).catch(() => undefined);
    pass(500);
    expect(await attempt(works)).toBe("started");
    fail();
    await expect(slow).rejects.toBe(NOT_STARTED);
    expect(await attempt(works)).toBe("started");
  });

  test("by a server that has started and refuses", async () => {
    const { attempt } = clocked();
    await expect(attempt(() => Promise.reject(REFUSED))).rejects.toBe(REFUSED);
    expect(await attempt(works)).toBe("started");
  });
});

const fails = () => Promise.reject(NOT_STARTED);
const works = async () => "started";

function clocked() {
  let now = 7_000;
  let starts = 0;
  const restarts = new Restarts(() => now);
  return {
    restarts,
    attempt: <T>(start: () => Promise<T>) =>
      restarts.attempt(() => {
        starts += 1;
        return start();
      }),
    pass: (ms: number) => {
      now += ms;
    },
    starts: () => starts,
  };
}
