const BYTES = 1_000;

/** What the call with this number gives: a thousand bytes that no other call gives. */
export function resultOf(n: number): string {
  return `result of ${n}: `.padEnd(BYTES, "x");
}
