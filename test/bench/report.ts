import { arch, cpus, platform, totalmem } from "node:os";

/** One line of the table. */
export interface Line {
  readonly what: string;
  readonly value: string;
  readonly aim?: { readonly text: string; readonly isMet: boolean };
}

/** The middle one of an odd number of values; of an even number, the upper of the two in the middle. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** The median of the ratios of each round: what disturbs a round disturbs both sides of it. */
export function medianRatio(over: readonly number[], under: readonly number[]): number {
  return median(over.map((value, round) => value / (under[round] ?? Number.NaN)));
}

export const times = (ratio: number): string => `${ratio.toFixed(2)}×`;
export const perSecond = (rate: number): string => `${Math.round(rate).toLocaleString("en")}/s`;
export const milliseconds = (ms: number): string => `${ms.toFixed(2)} ms`;

export const kilobytes = (bytes: number): string => `${(bytes / 1_000).toFixed(1)} KB`;

export function atLeast(aim: number, value: number): NonNullable<Line["aim"]> {
  return { text: `≥ ${Number(aim.toFixed(2))}×`, isMet: value >= aim };
}

export function atMost(text: string, limit: number, value: number): NonNullable<Line["aim"]> {
  return { text: `≤ ${text}`, isMet: value <= limit };
}

export function printFacts(): void {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  console.log(
    `${cpus().length} × ${cpu?.model.trim()}, ${memory}, ${platform()} ${arch()}, Node ${process.version}`,
  );
}

export function printTable(title: string, lines: readonly Line[]): void {
  const width = Math.max(...lines.map(({ what }) => what.length));
  console.log(`\n${title}`);
  for (const { what, value, aim } of lines) {
    const verdict = aim === undefined ? "" : `  aim ${aim.text.padEnd(9)} ${aim.isMet ? "met" : "MISSED"}`;
    console.log(`  ${what.padEnd(width)}  ${value.padStart(12)}${verdict}`);
  }
}
