/**
 * Runs `sweep` every `everyMs`, never twice at a time and without keeping the process alive.
 * `sweep` stops early when its signal aborts. Returns how to stop: resolves when no sweep is running any more.
 */
export function startSweeping(
  everyMs: number,
  sweep: (signal: AbortSignal) => Promise<unknown>,
): () => Promise<void> {
  const stop = new AbortController();
  let running: Promise<unknown> | undefined;
  const timer = setInterval(() => {
    // A sweep that failed is tried again; the reads and writes on the same storage tell what is wrong with it.
    running ??= sweep(stop.signal)
      .catch(() => {})
      .finally(() => {
        running = undefined;
      });
  }, everyMs);
  timer.unref();

  return async () => {
    clearInterval(timer);
    stop.abort();
    await running;
  };
}
