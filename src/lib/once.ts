/** A function that does `work` on its first call only, so that a caller gives back once what it took. */
export function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
}
