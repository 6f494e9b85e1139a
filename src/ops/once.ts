/** A function that does `work` when it is first called, and nothing after that: what was taken is given back once. */
export function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
}
