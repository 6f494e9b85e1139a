import { describe, expect, test } from "vitest";
import { Era } from "../../src/upstream/era.ts";
import { UpstreamFailure } from "../../src/upstream/failure.ts";
import type { ProbeResult } from "../../src/upstream/modern/probe.ts";

const MODERN: ProbeResult = {
  era: "modern",
  description: { supportedVersions: ["2026-07-28"], capabilities: {} },
};
const LEGACY: ProbeResult = { era: "legacy" };
const unknown = (isLate = false, status?: number): ProbeResult => ({
  era: "unknown",
  failure: new UpstreamFailure("no", { mayHaveRun: false, ...(status === undefined ? {} : { status }) }),
  isLate,
});

/** An era whose server answers these, one after the other, when the test lets it; and a clock of its own. */
function eraOf(...verdicts: ProbeResult[]) {
  const asked: Readonly<Record<string, string>>[] = [];
  const answers: ((verdict: ProbeResult) => void)[] = [];
  const clock = { now: 0 };
  const era = new Era({
    clock: () => clock.now,
    probe: (headers) => {
      asked.push(headers);
      return new Promise((resolve) => answers.push(resolve));
    },
  });
  const answer = async () => {
    answers.shift()?.(verdicts.shift() ?? LEGACY);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { era, asked, answer, clock };
}

test("the first who ask wait for one question, and who asks later does not", async () => {
  const { era, asked, answer } = eraOf(MODERN);
  const first = [era.resultFor({}), era.resultFor({})];
  await answer();
  expect(await Promise.all(first)).toEqual([MODERN, MODERN]);
  expect(era.resultFor({})).toBe(MODERN);
  expect(era.resultFor({ authorization: "another" })).toBe(MODERN);
  expect(asked).toHaveLength(1);
});

test("who has another login asks for themselves while nothing is known", async () => {
  const { era, asked, answer } = eraOf(unknown(false, 401), MODERN);
  const [nobody, somebody] = [era.resultFor({}), era.resultFor({ authorization: "a" })];
  await answer();
  await answer();
  expect((await nobody).era).toBe("unknown");
  expect(await somebody).toBe(MODERN);
  expect(asked).toEqual([{}, { authorization: "a" }]);
});

test("after five minutes the question is asked again, and nobody waits for it", async () => {
  const { era, asked, answer, clock } = eraOf(MODERN, LEGACY);
  void era.resultFor({});
  await answer();
  clock.now = 300_001;
  expect(era.resultFor({})).toBe(MODERN);
  expect(era.resultFor({})).toBe(MODERN);
  expect(asked).toHaveLength(2);
  await answer();
  expect(era.resultFor({})).toBe(LEGACY);
});

test("a server that cannot be reached is believed to be what it was, and not asked all the time", async () => {
  const { era, asked, answer, clock } = eraOf(MODERN, unknown());
  void era.resultFor({});
  await answer();
  clock.now = 300_001;
  void era.resultFor({});
  await answer();
  expect(era.resultFor({})).toBe(MODERN);
  expect(asked).toHaveLength(2);
  clock.now += 1_001;
  void era.resultFor({});
  expect(asked).toHaveLength(3);
});

test("nothing is known for a second at the most, and then who asks waits", async () => {
  const { era, asked, answer, clock } = eraOf(unknown(), MODERN);
  void era.resultFor({});
  await answer();
  expect(era.resultFor({})).toMatchObject({ era: "unknown" });
  expect(asked).toHaveLength(1);
  clock.now = 1_001;
  const second = era.resultFor({});
  await answer();
  expect(await second).toBe(MODERN);
});

test("a server that keeps everybody waiting does so once only", async () => {
  const { era, asked, answer, clock } = eraOf(unknown(true), MODERN);
  void era.resultFor({});
  await answer();
  clock.now = 1_001;
  expect(era.resultFor({})).toMatchObject({ era: "unknown" });
  expect(asked).toHaveLength(2);
  await answer();
  expect(era.resultFor({})).toBe(MODERN);
});

test("that a server wants a login is remembered for five seconds, and as the answer to everything", async () => {
  const { era, asked, answer, clock } = eraOf(unknown(false, 401), MODERN);
  void era.resultFor({});
  await answer();
  expect(era.resultFor({})).toMatchObject({ era: "unknown" });
  expect(era.refusal({})).toMatchObject({ facts: { status: 401 } });
  expect(era.refusal({ authorization: "a" })).toBeUndefined();
  expect(asked).toHaveLength(1);
  clock.now = 5_001;
  expect(era.refusal({})).toBeUndefined();
  const second = era.resultFor({});
  await answer();
  expect(await second).toBe(MODERN);
});

test("a refusal that may be about the probe alone is not remembered", async () => {
  const { era, answer } = eraOf(unknown(false, 403), MODERN);
  void era.resultFor({});
  await answer();
  expect(era.refusal({})).toBeUndefined();
  const second = era.resultFor({});
  await answer();
  expect(await second).toBe(MODERN);
});

test("who asks during a recheck waits for it, and the server is rechecked once a second", async () => {
  const { era, asked, answer, clock } = eraOf(MODERN, LEGACY);
  void era.resultFor({});
  await answer();
  era.recheck({});
  expect(asked).toHaveLength(1);
  clock.now = 1_001;
  era.recheck({});
  era.recheck({});
  expect(asked).toHaveLength(2);
  const waiting = era.resultFor({});
  await answer();
  expect(await waiting).toBe(LEGACY);
  expect(era.resultFor({})).toBe(LEGACY);
});

test("what one caller is refused says nothing to the others", async () => {
  const { era, asked, answer } = eraOf(LEGACY, MODERN);
  void era.resultFor({ authorization: "nonsense" });
  await answer();
  const good = era.resultFor({ authorization: "good" });
  await answer();
  expect(await good).toBe(MODERN);
  expect(asked).toHaveLength(2);
  expect(era.resultFor({ authorization: "another" })).toBe(MODERN);
  expect(era.resultFor({ authorization: "nonsense" })).toBe(LEGACY);
});

test("who causes a recheck by being refused cannot make it a legacy server for others", async () => {
  const { era, answer, clock } = eraOf(MODERN, LEGACY, MODERN);
  void era.resultFor({ authorization: "good" });
  await answer();
  clock.now = 1_001;
  era.recheck({ authorization: "nonsense" });
  await answer();
  const good = era.resultFor({ authorization: "good" });
  await answer();
  expect(await good).toBe(MODERN);
});

test("a server that does not answer a recheck keeps nobody waiting", async () => {
  const { era, answer, clock } = eraOf(MODERN);
  void era.resultFor({});
  await answer();
  clock.now = 1_001;
  era.recheck({});
  expect(await era.resultFor({ authorization: "another" })).toBe(MODERN);
});

describe("a server that is not there when it is first asked", () => {
  const absent = [unknown(false, 503), unknown()];

  test("may still be starting: clients wait until it is there", async () => {
    const { era, asked, answer } = eraOf(...absent, MODERN);
    expect(era.starting({})).toBeUndefined();
    void era.resultFor({});
    await answer();
    const starting = era.starting({});
    for (const probes of [2, 3]) {
      await expect.poll(() => asked.length).toBe(probes);
      await answer();
    }
    await starting;
    expect(era.resultFor({})).toBe(MODERN);
    expect(era.starting({})).toBeUndefined();
  });

  test("is down after three seconds, and later nobody waits", async () => {
    const { era, asked, answer, clock } = eraOf(...absent);
    void era.resultFor({});
    await answer();
    const starting = era.starting({});
    await expect.poll(() => asked.length).toBe(2);
    clock.now = 3_000;
    await answer();
    await starting;
    expect(era.starting({})).toBeUndefined();
    expect(era.resultFor({ authorization: "new" })).toBeInstanceOf(Promise);
    await answer();
    expect(era.starting({ authorization: "new" })).toBeUndefined();
  });

  test.each([
    ["wants a login", unknown(false, 401)],
    ["refuses the probe", unknown(false, 403)],
    ["says nothing", unknown(true)],
  ])("is not what %s", async (_what, verdict) => {
    const { era, answer } = eraOf(verdict);
    void era.resultFor({});
    await answer();
    expect(era.starting({})).toBeUndefined();
  });
});

test("a legacy server that opens no session is probed again, once a second at most", async () => {
  const { era, asked, answer, clock } = eraOf(LEGACY, MODERN);
  void era.resultFor({});
  await answer();
  era.disprove({});
  expect(era.resultFor({})).toBe(LEGACY);
  clock.now = 1_001;
  era.disprove({});
  const second = era.resultFor({});
  await answer();
  expect(await second).toBe(MODERN);
  expect(asked).toHaveLength(2);
});
