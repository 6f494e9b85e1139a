/** The only session of a server, when that goes away with it. */

import { expect, test, vi } from "vitest";
import { UpstreamFailure } from "../../src/upstream/failure.ts";
import type { SessionUser } from "../../src/upstream/sessions/pool.ts";
import type { Session, SessionHolder } from "../../src/upstream/sessions/session.ts";
import { SingleSession } from "../../src/upstream/sessions/single.ts";

const NOBODY: SessionHolder = { onRequest: () => {}, onNotification: () => {} };
const AWAY = new UpstreamFailure("The server cannot be reached (ECONNREFUSED)", { mayHaveRun: false });
const BUSY = new UpstreamFailure("The server answered HTTP 400", { mayHaveRun: false, status: 400 });

/** As much of a session as a lease is about. */
function someSession(): Session {
  let isUsable = true;
  const session = {
    get isUsable() {
      return isUsable;
    },
    attach: () => {},
    close: async () => {
      isUsable = false;
    },
  };
  return session as unknown as Session;
}

/** Uses the session once, and leaves it to the next. */
async function useOnce(solo: SingleSession, key: string, open: () => Promise<Session>): Promise<Session> {
  const lease = await solo.lease({ key, open }, NOBODY);
  lease.release("quiet");
  return lease.session as Session;
}

test("a server that ends with its session is waited for until it has been started again", async () => {
  const solo = new SingleSession();
  const first = await useOnce(solo, "a", async () => someSession());
  const second = someSession();
  const open = vi
    .fn<() => Promise<Session>>()
    .mockRejectedValueOnce(AWAY)
    .mockRejectedValueOnce(AWAY)
    .mockResolvedValue(second);
  expect(await useOnce(solo, "b", open)).toBe(second);
  expect(open).toHaveBeenCalledTimes(3);
  expect(first.isUsable).toBe(false);
  await solo.close();
});

test("a server that refuses a session is believed at once", async () => {
  const solo = new SingleSession();
  await useOnce(solo, "a", async () => someSession());
  const open = vi.fn<() => Promise<Session>>().mockRejectedValue(BUSY);
  await expect(useOnce(solo, "b", open)).rejects.toBe(BUSY);
  expect(open).toHaveBeenCalledOnce();
  await solo.close();
});

test("a server that was not there in the first place is not waited for", async () => {
  const solo = new SingleSession();
  const open = vi.fn<() => Promise<Session>>().mockRejectedValue(AWAY);
  await expect(useOnce(solo, "a", open)).rejects.toBe(AWAY);
  expect(open).toHaveBeenCalledOnce();
  await solo.close();
});

test("whoever listens on the session that a call has opened hears that the server has forgotten it", async () => {
  const solo = new SingleSession();
  const open = vi.fn<SessionUser["open"]>(async () => someSession());
  (await solo.lease({ key: "a", open }, NOBODY)).release("quiet");
  const onLost = vi.fn();
  await solo.source({ key: "a", open }, NOBODY, onLost).use(() => {}, 1_000);
  expect(open).toHaveBeenCalledOnce();
  open.mock.calls[0]?.[2]?.();
  expect(onLost).toHaveBeenCalledOnce();
  await solo.close();
});

test("whoever listens hears that the session has been given up for another", async () => {
  const solo = new SingleSession();
  const onLost = vi.fn();
  await solo.source({ key: "a", open: async () => someSession() }, NOBODY, onLost).use(() => {}, 1_000);
  await solo.giveUp();
  expect(onLost).toHaveBeenCalledOnce();
  await solo.close();
});

/** Who has had the session, in order, and calls and lists that use it until they are told to let go. */
function users(solo: SingleSession) {
  const had: string[] = [];
  const open = async () => someSession();
  const call = async (name: string, key: string, caller = key) => {
    const lease = await solo.lease({ key, caller, open }, NOBODY);
    had.push(name);
    return () => lease.release("quiet");
  };
  /** Uses the session at once, and lets go. */
  const quick = async (...who: Parameters<typeof call>) => (await call(...who))();
  const list = (name: string, key: string, caller = key, patienceMs = 60_000) =>
    solo.source({ key, caller, open }, NOBODY, () => {}).use(async () => void had.push(name), patienceMs);
  return { had, call, quick, list };
}

test("callers take turns, however many calls one of them has", async () => {
  const solo = new SingleSession();
  const { had, call, quick } = users(solo);
  const letGo = await call("a1", "a");
  const waiting = [
    ...["a2", "a3", "a4"].map((name) => quick(name, "a")),
    quick("b1", "b"),
    quick("b2", "b"),
    // Other capabilities make no other caller.
    quick("c1", "c with sampling", "c"),
    quick("c2", "c", "c"),
  ];
  letGo();
  await Promise.all(waiting);
  expect(had).toEqual(["a1", "a2", "b1", "c1", "a3", "b2", "c2", "a4"]);
  await solo.close();
});

test("a list is answered beside a call of its caller's, whoever waits", async () => {
  const solo = new SingleSession();
  const { had, call, quick, list } = users(solo);
  const letGo = await call("a1", "a");
  const other = quick("b1", "b");
  await list("a's list", "a");
  expect(had).toEqual(["a1", "a's list"]);
  letGo();
  await other;
  await solo.close();
});

test("a list has its turn before the second call of another caller", async () => {
  const solo = new SingleSession();
  const { had, call, quick, list } = users(solo);
  const letGo = await call("a1", "a");
  const calls = Array.from({ length: 20 }, (_, nth) => quick(`a${nth + 2}`, "a"));
  const listed = list("b's list", "b");
  letGo();
  await Promise.all([...calls, listed]);
  expect(had.slice(0, 4)).toEqual(["a1", "a2", "b's list", "a3"]);
  expect(had).toHaveLength(22);
  await solo.close();
});

test("lists without end keep no other caller from its turn", async () => {
  const solo = new SingleSession();
  const { had, quick, list } = users(solo);
  let isDone = false;
  const listing = [1, 2, 3].map(async () => {
    while (!isDone) await list("a", "a");
  });
  await quick("b1", "b");
  isDone = true;
  await Promise.all(listing);
  expect(had).toContain("b1");
  await solo.close();
});

test("whoever loses patience is in nobody's way", async () => {
  const solo = new SingleSession();
  const { had, call, quick, list } = users(solo);
  const letGo = await call("a1", "a");
  const lost = list("b's list", "b", "b", 1);
  const next = quick("c1", "c");
  await expect(lost).rejects.toThrow("busy with a call");
  letGo();
  await next;
  expect(had).toEqual(["a1", "c1"]);
  await solo.close();
});

test("where the session is never ended, who cannot have it is told so without waiting", async () => {
  const solo = new SingleSession(() => {}, true);
  solo.adopt("a", someSession());
  const { had, call, quick } = users(solo);
  const letGo = await call("a1", "a");
  await expect(quick("b1", "b")).rejects.toThrow("one session only");
  letGo();
  await quick("a2", "a");
  expect(had).toEqual(["a1", "a2"]);
  await solo.close();
});

test("a server that has not noticed the end of its session yet is asked again", async () => {
  const solo = new SingleSession();
  await useOnce(solo, "a", async () => someSession());
  const notYet = new UpstreamFailure("HTTP 500: Already connected to a transport. Call close() first", {
    mayHaveRun: false,
    status: 500,
  });
  const second = someSession();
  const open = vi.fn<() => Promise<Session>>().mockRejectedValueOnce(notYet).mockResolvedValue(second);
  expect(await useOnce(solo, "b", open)).toBe(second);
  await solo.close();
});
