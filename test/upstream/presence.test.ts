import { expect, test } from "vitest";
import { toFailure, UpstreamFailure } from "../../src/upstream/failure.ts";
import { Presence } from "../../src/upstream/presence.ts";

function watched() {
  const said: string[] = [];
  let now = 0;
  const presence = new Presence({
    onGone: ({ message }) => void said.push(`gone: ${message}`),
    onBack: (afterMs) => void said.push(`back after ${afterMs}`),
    now: () => now,
  });
  const wait = (ms: number) => {
    now += ms;
  };
  return { presence, said, wait };
}

const unreachable = toFailure(Object.assign(new Error("no"), { code: "ECONNREFUSED" }));

test("a server is gone when nobody is there, and back when it answers, and each is said once", () => {
  const { presence, said, wait } = watched();
  expect(presence.isThere).toBeUndefined();
  presence.answered();
  presence.answered();
  expect(said).toEqual([]);
  presence.failed(unreachable);
  wait(700);
  presence.failed(unreachable);
  expect(presence.isThere).toBe(false);
  presence.answered();
  expect(said).toEqual(["gone: The server cannot be reached (ECONNREFUSED)", "back after 700"]);
  expect(presence.returns).toBe(1);
});

test.each([
  ["a connection that cannot be made", unreachable, false],
  [
    "a process that does not start",
    new UpstreamFailure("x", { mayHaveRun: false, hasStarted: false }),
    false,
  ],
  ["a proxy that has no server", new UpstreamFailure("x", { mayHaveRun: false, status: 502 }), false],
  ["a refused credential", new UpstreamFailure("x", { mayHaveRun: false, status: 401 }), true],
  ["an error of the server", new UpstreamFailure("x", { mayHaveRun: true, status: 500 }), true],
  ["a connection that broke", toFailure(new Error("broke")), undefined],
  [
    "a call that was cancelled before it was sent",
    new UpstreamFailure("x", { mayHaveRun: false }),
    undefined,
  ],
])("%s says whether a server is there, or nothing", (_, failure, isThere) => {
  const { presence } = watched();
  presence.failed(failure);
  expect(presence.isThere).toBe(isThere);
});
