/**
 * Runs `sweep` every `everyMs`, never twice at a time and without keeping the process alive. `sweep` must stop early when its signal
 * aborts. Returns a function that stops the sweeps and resolves when none is running any more.
 */
export function startSweeping(
  everyMs: number,
  sweep: (signal: AbortSignal) => Promise<unknown>,
): () => Promise<void> {
  const stop = new AbortController();
  let running: Promise<unknown> | undefined;
  const timer = setInterval(() => {
    // The next sweep tries again; reads and writes on the same storage report what is wrong with it.
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
