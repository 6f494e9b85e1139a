// Asks the API again and again, but not while nobody looks.

/** Calls `look` now, whenever the page is shown again, and `everyMs` after each time. Returns the function that ends it. */
export function whileSeen(look, everyMs) {
  let timer;
  let isLooking = false;
  let isOver = false;
  const run = async () => {
    clearTimeout(timer);
    if (isLooking || isOver || document.hidden) return;
    isLooking = true;
    await look();
    isLooking = false;
    if (!isOver) timer = setTimeout(run, everyMs);
  };
  document.addEventListener("visibilitychange", run);
  void run();
  return () => {
    isOver = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", run);
  };
}
