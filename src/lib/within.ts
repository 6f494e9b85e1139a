import { setTimeout as sleep } from "node:timers/promises";

/** Waits for `work`, but no longer than `ms`. Rejects if `work` rejects by then. */
export async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const timer = new AbortController();
  try {
    await Promise.race([work, sleep(ms, undefined, { signal: timer.signal }).catch(() => {})]);
  } finally {
    timer.abort();
  }
}
