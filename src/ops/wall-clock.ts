import { uptime } from "node:os";

/** What nobody notices, and what a clock that is kept right by small steps may be off by. */
export const TOLERATED_STEP_MS = 2_000;
const LOOK_EVERY_MS = 10_000;

/** How long the machine has been running, also while it slept. Milliseconds. */
export function uptimeMs(): number {
  return uptime() * 1_000;
}

/** By how much, and in which direction, a clock was set. `ms`: positive is ahead. */
export function stepInWords(ms: number): string {
  return `set ${ms > 0 ? "ahead" : "back"} by ${Math.round(Math.abs(ms) / 1_000)} s`;
}

/** Says once for each time when somebody sets the clock of the machine while this process runs. Returns how to stop. */
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
