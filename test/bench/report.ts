import { arch, cpus, platform, totalmem } from "node:os";

/** One line of the table. */
export interface Line {
  readonly what: string;
  readonly value: string;
  readonly aim?: { readonly text: string; readonly isMet: boolean };
  /** To be compared with an earlier run. Absent for what says more about the machine. */
  readonly ratio?: Ratio;
}

export interface Ratio {
  readonly of: number;
  readonly isMoreBetter: boolean;
}

/** The line of a ratio of which less is better, or more. */
export function ratioLine(what: string, of: number, isMoreBetter: boolean, aim?: Line["aim"]): Line {
  return { what, value: times(of), ratio: { of, isMoreBetter }, ...(aim === undefined ? {} : { aim }) };
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
export const microseconds = (ms: number): string => `${Math.round(1_000 * ms)} µs`;

export const kilobytes = (bytes: number): string => `${(bytes / 1_000).toFixed(1)} KB`;

export function atLeast(aim: number, value: number): NonNullable<Line["aim"]> {
  return { text: `≥ ${Number(aim.toFixed(2))}×`, isMet: value >= aim };
}

export function atMost(text: string, limit: number, value: number): NonNullable<Line["aim"]> {
  return { text: `≤ ${text}`, isMet: value <= limit };
}

export function machine(): string {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return `${cpus().length} × ${cpu?.model.trim()}, ${memory}, ${platform()} ${arch()}`;
}

/** @param changeOf what has become of a ratio since the recorded run; empty when nobody knows */
export function printTable(title: string, lines: readonly Line[], changeOf: (line: Line) => string): void {
  const width = Math.max(...lines.map(({ what }) => what.length));
  console.log(`\n${title}`);
  for (const line of lines) {
    const { what, value, aim } = line;
    const verdict = aim === undefined ? "" : `aim ${aim.text.padEnd(9)} ${aim.isMet ? "met" : "MISSED"}`;
    console.log(
      `  ${what.padEnd(width)}  ${value.padStart(12)}  ${verdict.padEnd(20)}  ${changeOf(line)}`.trimEnd(),
    );
  }
}
