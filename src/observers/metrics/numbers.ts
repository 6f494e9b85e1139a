/** A number that a metric shows: it grows, or it is set. */
export interface Tally {
  value: number;
}

/** How often values fell into each bucket. An observation writes three numbers and makes no garbage. */
export class Distribution {
  /** The upper bounds of the buckets, ascending. */
  readonly bounds: readonly number[];
  /** By bucket, not cumulated; the last one has what is above all bounds. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = [...bounds, Number.POSITIVE_INFINITY].map(() => 0);
  }

  observe(value: number): void {
    const { bounds, counts } = this;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] as number)) at += 1;
    counts[at] = (counts[at] as number) + 1;
    this.sum += value;
  }
}
