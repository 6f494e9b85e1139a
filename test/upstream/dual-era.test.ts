import { expect, test } from "vitest";
import { UpstreamFailure } from "../../src/upstream/failure.ts";
import { DualEra } from "../../src/upstream/modern/dual-era.ts";

const refusing = (status: number) => new UpstreamFailure("no", { mayHaveRun: false, status });

/** Servers that answer in turn: with a session, or with this failure. */
function serverThat(...answers: readonly (UpstreamFailure | undefined)[]) {
  const asked: unknown[] = [];
  const clock = { now: 0 };
  const tryOut = async (headers: unknown) => {
    const failure = answers[Math.min(asked.push(headers), answers.length) - 1];
    if (failure !== undefined) throw failure;
  };
  return { asked, clock, era: new DualEra({ tryOut, clock: () => clock.now }) };
}

test.each([400, 404, 405, 406])("a server that answers %i has no sessions", async (status) => {
  const { era, asked } = serverThat(refusing(status));
  expect(era.isRuledOut).toBeUndefined();
  const all = await Promise.all([era.findOut({ a: "1" }), era.findOut({ a: "2" })]);
  expect([...all, await era.findOut({}), era.isRuledOut]).toEqual([true, true, true, true]);
  expect(asked).toEqual([{ a: "1" }]);
});

test("a server that names the revisions it speaks in its refusal has no sessions, whatever its status", async () => {
  const rpcError = { code: -32022, message: "Unsupported protocol version" };
  const { era } = serverThat(new UpstreamFailure("no", { mayHaveRun: false, rpcError }));
  expect(await era.findOut({})).toBe(true);
});

test("a server that opens a session serves both eras, and is not asked again for a while", async () => {
  const { era, asked, clock } = serverThat(undefined, refusing(400));
  expect([await era.findOut({}), await era.findOut({})]).toEqual([false, false]);
  clock.now = 300_001;
  expect(era.isRuledOut).toBeUndefined();
  expect(await era.findOut({})).toBe(true);
  expect(asked).toHaveLength(2);
});

test.each([401, 403, 429, 503])(
  "a server that answers %i has said nothing, and is asked again",
  async (status) => {
    const { era, asked } = serverThat(refusing(status), refusing(400));
    expect([await era.findOut({}), era.isRuledOut]).toEqual([false, undefined]);
    expect(await era.findOut({})).toBe(true);
    expect(asked).toHaveLength(2);
  },
);
