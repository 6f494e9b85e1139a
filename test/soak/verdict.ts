import type { Holdings } from "./probe.ts";

/** What of the holdings of one gateway has grown, compared with what it was; `undefined` when nothing has. */
export interface Growth {
  readonly what: keyof Holdings;
  /** Means of the second and of the last quarter. */
  readonly from: number;
  readonly to: number;
}

/** By how much something may be more in the last quarter than in the second one: a share, and so much in any case. */
const LEEWAY: Readonly<Record<keyof Holdings, { readonly share: number; readonly least: number }>> = {
  heap: { share: 0.15, least: 4_000_000 },
  resident: { share: 0.25, least: 24_000_000 },
  files: { share: 0.2, least: 12 },
  sockets: { share: 0.2, least: 12 },
  timers: { share: 0.2, least: 12 },
  handles: { share: 0.2, least: 12 },
};

/** Needs as many samples, taken at equal distances, as make quarters: four or more. @throws RangeError */
export function growthOf(samples: readonly Holdings[]): readonly Growth[] {
  if (samples.length < 4) throw new RangeError(`${samples.length} samples are too few to judge by`);
  const quarter = samples.length / 4;
  const second = samples.slice(Math.round(quarter), Math.round(2 * quarter));
  const last = samples.slice(Math.round(3 * quarter));
  return (Object.keys(LEEWAY) as (keyof Holdings)[])
    .map((what) => ({ what, from: mean(second, what), to: mean(last, what) }))
    .filter(({ what, from, to }) => to > from + Math.max(from * LEEWAY[what].share, LEEWAY[what].least));
}

function mean(samples: readonly Holdings[], what: keyof Holdings): number {
  return samples.reduce((sum, sample) => sum + sample[what], 0) / samples.length;
}
