import { uptime } from "node:os";

/** A step that nobody notices, and that a clock synchronised by small steps may be off by. */
export const TOLERATED_STEP_MS = 2_000;
const LOOK_EVERY_MS = 10_000;

/** How long the machine has been running, including sleep. Milliseconds. */
export function uptimeMs(): number {
  return uptime() * 1_000;
}

/** A clock's step in words. @param ms positive is ahead */
export function stepInWords(ms: number): string {
  return `set ${ms > 0 ? "ahead" : "back"} by ${Math.round(Math.abs(ms) / 1_000)} s`;
}

/** Calls `tell` once for each time that somebody sets the machine's clock while this process runs. Returns a function that stops it. */
export function tellClockSteps(
  tell: (message: string) => void,
  { everyMs = LOOK_EVERY_MS }: { readonly everyMs?: number } = {},
): () => void {
  const bootedAt = () => Date.now() - uptimeMs();
  let before = bootedAt();
  const timer = setInterval(() => {
    const now = bootedAt();
    if (Math.abs(now - before) > TOLERATED_STEP_MS)
      tell(
        `the clock of this machine was ${stepInWords(now - before)}: tasks keep their time, which this process counts by itself`,
      );
    before = now;
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
