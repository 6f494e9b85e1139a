const ORIGIN = Date.now() - performance.now();

/**
 * Milliseconds since the epoch: the wall clock at the start of the process, plus a monotonic clock. Setting the machine's clock expires no
 * task.
 */
export function steadyNow(): number {
  return Math.floor(ORIGIN + performance.now());
}
