import { expect, test, vi } from "vitest";
import type { CallerLimits, TotalLimits } from "../../src/config/config.ts";
import { Quotas } from "../../src/limits/quotas.ts";
import type { RpcError } from "../../src/protocol/errors.ts";
import * as fc from "../support/properties.ts";

const ADA = { caller: "ada", isIdentified: true };
const BOB = { caller: "bob", isIdentified: true };
const ROUTE = "reports";
const ANYBODY = { caller: "anonymous", isIdentified: false };
const NO_LIMITS = { total: {}, perCaller: {} };

function quotasWith(limits: { total?: TotalLimits; perCaller?: CallerLimits }) {
  let now = 0;
  const quotas = new Quotas({ ...NO_LIMITS, ...limits }, { clock: () => now, patienceMs: 20 });
  const pass = (ms: number) => {
    now += ms;
  };
  return { quotas, pass };
}

function refusalOf(act: () => unknown): RpcError | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return error as RpcError;
  }
}

test("a caller that has its share is refused with the limit's name, and others are not", () => {
  const { quotas } = quotasWith({ perCaller: { tasks: 2 } });
  quotas.take("tasks", ADA);
  const giveBack = quotas.take("tasks", ADA);
  const refusal = refusalOf(() => quotas.take("tasks", ADA));
  expect(refusal?.toJSON()).toEqual({
    code: -32603,
    message: "Limit exceeded: limits.perCaller.tasks is 2; try again later",
    data: { limit: "limits.perCaller.tasks", max: 2, retryable: true, retryAfterMs: 1_000 },
  });
  expect([refusal?.httpStatus, refusal?.headers]).toEqual([429, { "Retry-After": "1" }]);
  quotas.take("tasks", BOB);
  quotas.take("streams", ADA);
  giveBack();
  giveBack();
  quotas.take("tasks", ADA);
  expect(refusalOf(() => quotas.take("tasks", ADA))).toBeDefined();
});

test.for([
  ["total", "tasks", "held", ADA, BOB, 503, "limits.total.tasks"],
  ["total", "sessions", "sessions", ADA, ANYBODY, 503, "limits.total.sessions"],
  ["total", "streams", "streams", ADA, BOB, 503, "limits.total.streams"],
  ["total", "tasks", "queued", ANYBODY, ADA, 503, "limits.total.tasks"],
  ["perCaller", "tasks", "held", ADA, ADA, 429, "limits.perCaller.tasks"],
  ["perCaller", "tasks", "queued", ADA, ADA, 429, "limits.perCaller.tasks"],
  ["perCaller", "streams", "streams", ADA, ADA, 429, "one caller's share of limits.total.streams"],
  ["perCaller", "sessions", "sessions", ADA, ADA, 429, "one caller's share of limits.total.sessions"],
] as const)("%s.%s holds for %s", ([scope, setting, what, first, second, status, limit]) => {
  const { quotas } = quotasWith({ [scope]: { [setting]: 1 } });
  quotas.take(what, first);
  const refusal = refusalOf(() => quotas.take(what, second));
  expect([refusal?.httpStatus, refusal?.data]).toMatchObject([status, { limit, max: 1 }]);
});

test("callers that are not told apart have no share of their own", () => {
  const { quotas } = quotasWith({ perCaller: { tasks: 1 }, total: { tasks: 3 } });
  for (let count = 0; count < 3; count += 1) quotas.take("tasks", ANYBODY);
  expect(refusalOf(() => quotas.take("tasks", ANYBODY))?.data).toMatchObject({
    limit: "limits.total.tasks",
  });
});

test("who is refused in one scope has taken nothing in another", () => {
  const { quotas } = quotasWith({ perCaller: { tasks: 5 }, total: { tasks: 1 } });
  const giveBack = quotas.take("tasks", ADA);
  for (let count = 0; count < 9; count += 1) expect(refusalOf(() => quotas.take("tasks", BOB))).toBeDefined();
  giveBack();
  expect(quotas.taken("tasks")).toBe(0);
  quotas.take("tasks", BOB);
});

test("what is there already is counted beyond the limit", () => {
  const { quotas } = quotasWith({ total: { tasks: 1 } });
  const giveBack = [quotas.add("tasks", ADA), quotas.add("tasks", BOB)];
  expect(quotas.taken("tasks")).toBe(2);
  giveBack[0]?.();
  expect(refusalOf(() => quotas.check("tasks", ADA))).toBeDefined();
  giveBack[1]?.();
  quotas.check("tasks", ADA);
});

test("whoever takes and gives back what, nobody ever has more than the limit, and nothing less than nothing", () => {
  const limits = { total: { tasks: 6 }, perCaller: { tasks: 3 } };
  const quotaKey = fc.record({
    caller: fc.constantFrom("ada", "bob", "eve"),
    isIdentified: fc.boolean(),
  });
  const step = fc.record({ quotaKey, giveBack: fc.option(fc.nat(20), { nil: undefined }) });
  return fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const quotas = new Quotas(limits);
      const had: { readonly quotaKey: typeof ADA; readonly giveBack: () => void; isTaken: boolean }[] = [];
      const count = (test: (quotaKey: typeof ADA) => boolean) =>
        had.filter(({ isTaken, quotaKey }) => isTaken && test(quotaKey)).length;
      for (const { quotaKey, giveBack } of steps) {
        const place = giveBack === undefined ? undefined : had[giveBack % Math.max(1, had.length)];
        if (giveBack !== undefined) {
          // Any of them, also one that has been given back before.
          place?.giveBack();
          if (place !== undefined) place.isTaken = false;
        } else {
          const isFull =
            count(() => true) >= 6 ||
            (quotaKey.isIdentified &&
              count((other) => other.isIdentified && other.caller === quotaKey.caller) >= 3);
          let taken: (() => void) | undefined;
          const refusal = refusalOf(() => {
            taken = quotas.take("tasks", quotaKey);
          });
          expect(refusal !== undefined).toBe(isFull);
          if (taken !== undefined) had.push({ quotaKey, giveBack: taken, isTaken: true });
        }
        expect(quotas.taken("tasks")).toBe(count(() => true));
      }
    }),
  );
});

const HERE = { gone: new AbortController().signal };

test("calls that come a little too fast wait their turn, and those that would wait too long are refused after a while", async () => {
  const { quotas } = quotasWith({ perCaller: { calls: { count: 100, perMs: 1_000 } } });
  for (let count = 0; count < 20; count += 1) expect(quotas.pass("calls", ADA, ROUTE, HERE)).toBeUndefined();
  expect(quotas.pass("calls", BOB, ROUTE, HERE)).toBeUndefined();
  const [first, second, late] = [1, 2, 3].map(() => quotas.pass("calls", ADA, ROUTE, HERE));
  expect(quotas.waiting("calls")).toBe(3);
  // Whoever is refused may be told so before those who come before it have had their turn.
  const refused = expect(late).rejects.toMatchObject({
    httpStatus: 429,
    headers: { "Retry-After": "1" },
    data: { limit: "limits.perCaller.calls", max: "100/s", retryable: true, retryAfterMs: 30 },
  });
  await Promise.all([first, second, refused]);
  expect(quotas.waiting("calls")).toBe(0);
});

test("a server has a rate of its own for callers that are not told apart as well, and other servers are not slowed by it", async () => {
  const calls = { count: 1, perMs: 3_600_000 };
  const quotas = new Quotas({ ...NO_LIMITS, perRoute: { calls } }, { clock: () => 0, patienceMs: 20 });
  expect(quotas.pass("calls", ANYBODY, ROUTE, HERE)).toBeUndefined();
  const refused = quotas.pass("calls", ADA, ROUTE, HERE);
  expect(quotas.waiting("calls")).toBe(1);
  expect(quotas.pass("calls", ADA, "another", HERE)).toBeUndefined();
  expect(quotas.pass("polls", ADA, ROUTE, HERE)).toBeUndefined();
  await expect(refused).rejects.toMatchObject({
    httpStatus: 429,
    data: { limit: "limits.perRoute.calls", max: "1/h", retryable: true },
  });
});

test("of those who wait there are only so many of one caller, and the others are refused at once", async () => {
  const { quotas } = quotasWith({ perCaller: { calls: { count: 1, perMs: 3_600_000 } } });
  expect(quotas.pass("calls", ADA, ROUTE, HERE)).toBeUndefined();
  const waiting = Array.from({ length: 256 }, () =>
    quotas.pass("calls", ADA, ROUTE, { gone: new AbortController().signal }),
  );
  expect(refusalOf(() => quotas.pass("calls", ADA, ROUTE, HERE))).toMatchObject({ httpStatus: 429 });
  expect(quotas.pass("calls", BOB, ROUTE, HERE)).toBeUndefined();
  const [one] = [quotas.pass("calls", BOB, ROUTE, HERE)];
  expect(quotas.waiting("calls")).toBe(257);
  const results = await Promise.allSettled([...waiting, one]);
  expect(new Set(results.map(({ status }) => status))).toEqual(new Set(["rejected"]));
  expect(quotas.waiting("calls")).toBe(0);
});

test("who has gone does not wait any longer, and is not let through", async () => {
  const { quotas } = quotasWith({ perCaller: { polls: { count: 100, perMs: 1_000 } } });
  for (let count = 0; count < 20; count += 1) expect(quotas.pass("polls", ADA, ROUTE, HERE)).toBeUndefined();
  const leaving = new AbortController();
  const waiting = quotas.pass("polls", ADA, ROUTE, { gone: leaving.signal });
  leaving.abort();
  await expect(waiting).rejects.toThrow("gone");
  expect(quotas.waiting("polls")).toBe(0);
});

test("a request that is refused takes nothing of the rate", async () => {
  const { quotas, pass } = quotasWith({ perCaller: { calls: { count: 1, perMs: 60_000 } } });
  expect(quotas.pass("calls", ADA, ROUTE, HERE)).toBeUndefined();
  const refused = [1, 2, 3].map(() => quotas.pass("calls", ADA, ROUTE, HERE));
  expect(quotas.pass("calls", BOB, ROUTE, HERE)).toBeUndefined();
  await Promise.allSettled(refused);
  pass(60_000);
  expect(quotas.pass("calls", ADA, ROUTE, HERE)).toBeUndefined();
});

test("without rates nobody is asked who has gone", () => {
  const { quotas } = quotasWith({});
  const waiter = { gone: HERE.gone };
  const gone = vi.spyOn(waiter, "gone", "get");
  expect(quotas.pass("polls", ADA, ROUTE, waiter)).toBeUndefined();
  expect(gone).not.toHaveBeenCalled();
});
