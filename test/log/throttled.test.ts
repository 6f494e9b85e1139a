import { pino } from "pino";
import { expect, test } from "vitest";
import { ThrottledLog, throttled } from "../../src/log/throttled.ts";
import { toAnswer } from "../../src/requests/error-answer.ts";
import { StoreUnavailable } from "../../src/store/task-store.ts";

test("the same message is written once a second, and says how many were left out", () => {
  const { lines, log } = logged();
  const time = { now: 5_000 };
  const rarely = new ThrottledLog(log, () => time.now);

  for (const at of [0, 1, 500, 999, 1_000, 1_001, 1_999, 2_000, 60_000]) {
    time.now = 5_000 + at;
    rarely.say("error", { at }, "away");
  }

  expect(lines.map(({ at, leftOut }) => [at, leftOut])).toEqual([
    [0, undefined],
    [1_000, 3],
    [2_000, 2],
    [60_000, undefined],
  ]);
});

test("messages are counted each for itself, with their own level", () => {
  const { lines, log } = logged();
  const rarely = new ThrottledLog(log, () => 0);

  for (let n = 0; n < 3; n++) {
    rarely.say("error", { n }, "away");
    rarely.say("warn", { n }, "slow");
  }

  expect(lines.map(({ level, msg, n }) => [level, msg, n])).toEqual([
    [50, "away", 0],
    [40, "slow", 0],
  ]);
});

test("all who use one logger are counted together, and those of another apart", () => {
  const { log } = logged();
  expect(throttled(log)).toBe(throttled(log));
  expect(throttled(log.child({}))).not.toBe(throttled(log));
});

test("an outage of the store is no line for each request, and every client is told all the same", () => {
  const { lines, log } = logged();
  const request = { method: "tasks/get" };

  const answers = Array.from({ length: 1_000 }, (_, n) =>
    toAnswer(new StoreUnavailable(`away ${n}`), log, request),
  );

  const told = { retryable: true, retryAfterMs: 1_000 };
  expect(answers.map(({ code, data }) => ({ code, data }))).toEqual(
    answers.map(() => ({ code: -32603, data: told })),
  );
  // A second may end between the first and the last of them.
  expect(lines.length).toBeLessThan(10);
  expect(lines[0]).toMatchObject({
    msg: "the store is not available",
    method: "tasks/get",
    err: { message: "away 0" },
  });
});

test("a fault of our own is a line each time", () => {
  const { lines, log } = logged();
  for (let n = 0; n < 3; n++) toAnswer(new Error(`fault ${n}`), log, undefined);
  expect(lines.map(({ err }) => err?.message)).toEqual(["fault 0", "fault 1", "fault 2"]);
});

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly at?: number;
  readonly n?: number;
  readonly leftOut?: number;
  readonly method?: string;
  readonly err?: { readonly message: string };
}

function logged() {
  const lines: Line[] = [];
  const log = pino({ base: null }, { write: (line) => void lines.push(JSON.parse(line)) });
  return { lines, log };
}
