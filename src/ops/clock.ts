const ORIGIN = Date.now() - performance.now();

/**
 * Milliseconds since the epoch by the wall clock as it was when the process began, and from then on by a clock that does not jump: whoever sets the
 * machine's clock ends nobody's task.
 */
export function steadyNow(): number {
  return Math.floor(ORIGIN + performance.now());
}
