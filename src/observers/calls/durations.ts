/** Four for each doubling: no quantile is wrong by more than an eighth. */
const IN_AN_OCTAVE = 4;
/** Below it there is a bucket for each millisecond. */
const FIRST_OCTAVE = 2;
const DAY_MS = 86_400_000;
const BUCKETS = bucketOf(DAY_MS) + 1;

/** How long calls took, from a millisecond to a day. An observation writes four numbers and makes no garbage; 500 bytes, however many there are. */
export class Durations {
  readonly #counts = new Uint32Array(BUCKETS);
  #count = 0;
  #minMs = Number.POSITIVE_INFINITY;
  #maxMs = 0;

  get count(): number {
    return this.#count;
  }

  /** Exact. 0: nothing was observed. */
  get maxMs(): number {
    return this.#maxMs;
  }

  observe(ms: number): void {
    const bucket = bucketOf(ms);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#count += 1;
    if (ms < this.#minMs) this.#minMs = ms;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  /** Adds what the other has observed. Returns itself. */
  add(other: Durations): this {
    for (let bucket = 0; bucket < BUCKETS; bucket += 1)
      this.#counts[bucket] = (this.#counts[bucket] as number) + (other.#counts[bucket] as number);
    this.#count += other.#count;
    this.#minMs = Math.min(this.#minMs, other.#minMs);
    this.#maxMs = Math.max(this.#maxMs, other.#maxMs);
    return this;
  }

  /** How long all but this share of them took at the most: 0.5 for the median. Milliseconds; 0: nothing was observed. */
  quantile(share: number): number {
    const rank = share * this.#count;
    let before = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      const here = this.#counts[bucket] as number;
      if (here > 0 && before + here >= rank) {
        const [from, to] = [startOf(bucket), startOf(bucket + 1)];
        const ms = from + ((to - from) * (rank - before)) / here;
        return Math.min(Math.max(ms, this.#minMs), this.#maxMs);
      }
      before += here;
    }
    return this.#maxMs;
  }

  /** How many took longer, to within a bucket. */
  above(ms: number): number {
    return this.#counts.subarray(bucketOf(ms) + 1).reduce((sum, here) => sum + here, 0);
  }
}

function bucketOf(ms: number): number {
  // More than a day is a day; `| 0` cuts off the fraction.
  const whole = (ms < DAY_MS ? ms : DAY_MS) | 0;
  if (whole < IN_AN_OCTAVE) return whole < 0 ? 0 : whole;
  const octave = 31 - Math.clz32(whole);
  const part = (whole >> (octave - FIRST_OCTAVE)) & (IN_AN_OCTAVE - 1);
  return IN_AN_OCTAVE * (octave - FIRST_OCTAVE + 1) + part;
}

/** The shortest duration in a bucket. */
function startOf(bucket: number): number {
  if (bucket < IN_AN_OCTAVE) return bucket;
  const octave = Math.floor(bucket / IN_AN_OCTAVE) - 1;
  return (IN_AN_OCTAVE + (bucket % IN_AN_OCTAVE)) * 2 ** octave;
}
