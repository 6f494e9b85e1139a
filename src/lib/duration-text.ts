const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
] as const;

/** A duration for people, in the two largest units that it has: `240 ms`, `2.1 s`, `3 min 20 s`, `1 h 5 min`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1_000;
  if (seconds < 60) return `${(Math.floor(seconds * 10) / 10).toString()} s`;
  const whole = Math.floor(seconds);
  const at = UNITS.findIndex(([, size]) => whole >= size);
  const [unit, size] = UNITS[at] ?? ["min", 60];
  const [smaller, smallerSize] = UNITS[at + 1] ?? ["s", 1];
  const rest = Math.floor((whole % size) / smallerSize);
  const first = `${Math.floor(whole / size)} ${unit}`;
  return rest === 0 ? first : `${first} ${rest} ${smaller}`;
}
