import {
  atLeast,
  atMost,
  type Line,
  median,
  medianRatio,
  milliseconds,
  perSecond,
  ratioLine,
  times,
} from "./report.ts";

/** How many requests are in flight, where it is more than one. */
export const FEW = 16;
export const MANY = 64;

/** What is measured of each contestant, round by round. */
export const KINDS = ["alone", "few", "many", "json", "small", "firstEvent"] as const;
export type Kind = (typeof KINDS)[number];

export interface Round {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perSecond: number;
  /** Time of the program's own for each request; not a number where nobody knows. */
  readonly cpuMs: number;
}

interface Measured {
  readonly name: string;
  readonly rounds: Readonly<Record<Kind, readonly Round[]>>;
}

interface Ranking {
  /** What the others are divided by. */
  readonly yardstick: Measured;
  readonly gateway: Measured;
  readonly others: readonly Measured[];
}

/** One line for the gateway, and one for all others, for each thing that is measured. */
export function linesOf({ yardstick, gateway, others }: Ranking): Line[] {
  const first = [
    { what: "http-proxy: call, 1 client, p50", value: milliseconds(median(of(yardstick, "alone", p50))) },
    { what: `http-proxy: call, ${FEW} clients`, value: perSecond(median(of(yardstick, "few", rate))) },
  ];
  return [
    ...first,
    ...COLUMNS.flatMap(({ what, kind, value, isMoreBetter = false, hasAim = true }) => {
      const ratio = (one: Measured) => medianRatio(of(one, kind, value), of(yardstick, kind, value));
      const mine = ratio(gateway);
      const aim = isMoreBetter ? atLeast(1 / AIM, mine) : atMost(times(AIM), AIM, mine);
      const theirs = others
        .map((one) => ({ name: one.name, ratio: ratio(one) }))
        .filter((one) => !Number.isNaN(one.ratio))
        .map((one) => `${one.name} ${times(one.ratio)}`);
      return [
        ratioLine(`${what}: gateway / http-proxy`, mine, isMoreBetter, hasAim ? aim : undefined),
        { what: "  others / http-proxy", value: theirs.join(" · ") },
      ];
    }),
  ];
}

/** The time that one request may take of what it takes http-proxy. */
const AIM = 1.15;

const p50 = ({ p50Ms }: Round) => p50Ms;
const p99 = ({ p99Ms }: Round) => p99Ms;
const rate = (round: Round) => round.perSecond;
const cpu = ({ cpuMs }: Round) => cpuMs;

interface Column {
  readonly what: string;
  readonly kind: Kind;
  readonly value: (round: Round) => number;
  readonly isMoreBetter?: boolean;
  readonly hasAim?: boolean;
}

const COLUMNS: readonly Column[] = [
  { what: "call, 1 client, p50", kind: "alone", value: p50 },
  { what: "call, 1 client, p99", kind: "alone", value: p99, hasAim: false },
  { what: `call, ${FEW} clients, throughput`, kind: "few", value: rate, isMoreBetter: true },
  { what: `call, ${FEW} clients, CPU`, kind: "few", value: cpu },
  { what: `call, ${MANY} clients, throughput`, kind: "many", value: rate, isMoreBetter: true },
  { what: `call in JSON, ${FEW} clients, throughput`, kind: "json", value: rate, isMoreBetter: true },
  { what: `call in JSON, ${FEW} clients, CPU`, kind: "json", value: cpu },
  { what: `small GET, ${FEW} clients, throughput`, kind: "small", value: rate, isMoreBetter: true },
  { what: `small GET, ${FEW} clients, CPU`, kind: "small", value: cpu },
  { what: "stream, first event, p50", kind: "firstEvent", value: p50 },
  { what: "stream, first event, p99", kind: "firstEvent", value: p99, hasAim: false },
];

function of(one: Measured, kind: Kind, value: (round: Round) => number): number[] {
  return one.rounds[kind].map(value);
}
