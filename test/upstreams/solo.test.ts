/** The only session of a server, when that goes away with it. */

import { expect, test, vi } from "vitest";
import { UpstreamFailure } from "../../src/upstreams/failure.ts";
import type { SessionUser } from "../../src/upstreams/pool.ts";
import type { Session, SessionHolder } from "../../src/upstreams/session.ts";
import { Solo } from "../../src/upstreams/solo.ts";

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
async function useOnce(solo: Solo, key: string, open: () => Promise<Session>): Promise<Session> {
  const lease = await solo.lease({ key, open }, NOBODY);
  lease.release("quiet");
  return lease.session as Session;
}

test("a server that ends with its session is waited for until it has been started again", async () => {
  const solo = new Solo();
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
  const solo = new Solo();
  await useOnce(solo, "a", async () => someSession());
  const open = vi.fn<() => Promise<Session>>().mockRejectedValue(BUSY);
  await expect(useOnce(solo, "b", open)).rejects.toBe(BUSY);
  expect(open).toHaveBeenCalledOnce();
  await solo.close();
});

test("a server that was not there in the first place is not waited for", async () => {
  const solo = new Solo();
  const open = vi.fn<() => Promise<Session>>().mockRejectedValue(AWAY);
  await expect(useOnce(solo, "a", open)).rejects.toBe(AWAY);
  expect(open).toHaveBeenCalledOnce();
  await solo.close();
});

test("whoever listens on the session that a call has opened hears that the server has forgotten it", async () => {
  const solo = new Solo();
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
  const solo = new Solo();
  const onLost = vi.fn();
  await solo.source({ key: "a", open: async () => someSession() }, NOBODY, onLost).use(() => {}, 1_000);
  await solo.giveUp();
  expect(onLost).toHaveBeenCalledOnce();
  await solo.close();
});
