import { expect, test } from "vitest";
import type { Call } from "../../src/calls/call.ts";
import type { CallListener } from "../../src/calls/call-end.ts";
import { nextMoment } from "../../src/calls/wait.ts";

const forever = new AbortController().signal;

test("a call that has ended, or a client that has gone, is noticed at once", async () => {
  const ended = happening();
  ended.end();
  expect(await nextMoment(ended.call, { gone: AbortSignal.abort() })).toBe("ended");
  expect(await nextMoment(happening().call, { gone: AbortSignal.abort() })).toBe("gone");
});

test.each(["ended", "gone", "asked", "elapsed"] as const)(
  "%s is what happens first, and nothing is left listening",
  async (moment) => {
    const { call, end, ask, send, listeners } = happening();
    const leaving = new AbortController();
    const waiting = nextMoment(call, { gone: leaving.signal, windowMs: 30 });
    expect(listeners.size).toBe(1);
    const happen = { ended: end, gone: () => leaving.abort(), asked: ask, elapsed: send };
    happen[moment]();
    expect(await waiting).toBe(moment);
    expect(listeners.size).toBe(0);
  },
);

test("a question that was asked before counts", async () => {
  const { call, ask } = happening();
  ask();
  expect(await nextMoment(call, { gone: forever })).toBe("asked");
});

test("a question that is withdrawn in the same breath is none", async () => {
  const { call, ask, withdraw, end } = happening();
  const waiting = nextMoment(call, { gone: forever });
  ask();
  withdraw();
  setTimeout(end, 40);
  expect(await waiting).toBe("ended");
});

test("the window begins when the call is sent", async () => {
  const { call, send, listeners } = happening();
  const began = performance.now();
  const waiting = nextMoment(call, { gone: forever, windowMs: 20 });
  setTimeout(send, 100);
  expect(await waiting).toBe("elapsed");
  expect(performance.now() - began).toBeGreaterThan(110);
  expect(listeners.size).toBe(0);
});

test("a call that was sent before has its window from now on", async () => {
  const { call, send } = happening();
  send();
  expect(await nextMoment(call, { gone: forever, windowMs: 10 })).toBe("elapsed");
});

/** As much of a call as waiting for it takes, and what happens to it. */
function happening() {
  const listeners = new Set<CallListener>();
  const state: { state: Call["state"]; end: Call["end"]; isAsking: boolean } = {
    state: "queued",
    end: undefined,
    isAsking: false,
  };
  const call = Object.assign(state, {
    listen(listener: CallListener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  }) as unknown as Call;
  const tell = (event: (listener: CallListener) => void) => [...listeners].forEach(event);
  const asks = (isAsking: boolean) => () => {
    state.isAsking = isAsking;
    tell((listener) => listener.onQuestions?.());
  };
  return {
    call,
    listeners,
    ask: asks(true),
    withdraw: asks(false),
    send: () => {
      state.state = "sent";
      tell((listener) => listener.onSent?.());
    },
    end: () => {
      const end = { kind: "cancelled", reason: "for the test" } as const;
      state.end = end;
      tell((listener) => listener.onEnd?.(end));
    },
  };
}
