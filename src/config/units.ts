const MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 } as const;

/** A JSON Schema pattern for texts with references to the environment, whose values only the gateway knows. */
export const REFERENCE = "\\$\\{.+\\}";

/**
 * The texts that an editor may accept as a duration or a size: the text itself, or one with a reference to the environment.
 */
export const durationPattern = orReference("[0-9]+(ms|s|m|h|d)");
export const sizePattern = orReference("[0-9]+([bB]|[kmgKMG][bB])");

/** A JSON Schema pattern for texts that match `pattern` as a whole, or contain a reference to the environment. */
export function orReference(pattern: string): string {
  return `^(${pattern}|.*${REFERENCE}.*)$`;
}

/** Milliseconds of "250ms", "30s", "5m", "1h" or "2d"; `undefined` for any other text. */
export function parseDuration(text: string): number | undefined {
  return amount(/^(\d+)(ms|s|m|h|d)$/.exec(text), MS);
}

/** Bytes of "512b", "64kb", "32mb" or "1gb" in powers of 1024; `undefined` for any other text. */
export function parseSize(text: string): number | undefined {
  return amount(/^(\d+)([kmg]?b)$/i.exec(text), BYTES);
}

const MAX_RATE = 1_000_000;

/** The count and the milliseconds of "100/s", "600/m" or "5000/h"; `undefined` for any other text. */
export function parseRate(text: string): { readonly count: number; readonly perMs: number } | undefined {
  const [, count = "", unit = ""] = /^(\d+)\/([smh])$/.exec(text) ?? [];
  const perMs = MS[unit as "s" | "m" | "h"];
  return Number(count) >= 1 && Number(count) <= MAX_RATE ? { count: Number(count), perMs } : undefined;
}

/** The product may exceed the safe integers; callers have upper bounds far below them. */
function amount(match: RegExpExecArray | null, units: Readonly<Record<string, number>>): number | undefined {
  const unit = units[match?.[2]?.toLowerCase() ?? ""];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}
