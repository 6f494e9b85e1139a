import { Distribution, type Tally } from "./numbers.ts";

export type Labels = Readonly<Record<string, string>>;

/** One line of a scrape. */
export interface Sample {
  /** Absent: that of the family. */
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

/** The series of one name, in the terms of the exposition formats of Prometheus. */
export interface Family {
  /** Of a counter: with `_total`. */
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  samples(): readonly Sample[];
}

/**
 * A family whose series are numbers that their users keep and count in. prom-client looks a series up by its labels with each observation,
 * also through a bound child: that takes a microsecond and makes garbage, and this takes some nanoseconds.
 */
export class Counter implements Family {
  readonly type = "counter";
  readonly name: string;
  readonly help: string;
  #series: { readonly labels: Labels; readonly tally: Tally }[] = [];

  constructor(name: string, help: string) {
    this.name = name;
    this.help = help;
  }

  /** A new series, which is 0. To be called once for the same labels. */
  series(labels: Labels): Tally {
    const tally = { value: 0 };
    this.#series.push({ labels, tally });
    return tally;
  }

  /** Drops series; what still counts in them is seen no more. */
  drop(isDropped: (labels: Labels) => boolean): void {
    this.#series = this.#series.filter(({ labels }) => !isDropped(labels));
  }

  samples(): readonly Sample[] {
    return this.#series.map(({ labels, tally }) => ({ labels, value: tally.value }));
  }
}

/** As `Counter`, for distributions. */
export class Histogram implements Family {
  readonly type = "histogram";
  readonly name: string;
  readonly help: string;
  readonly #bounds: readonly number[];
  #series: { readonly labels: Labels; readonly distribution: Distribution }[] = [];

  constructor(name: string, help: string, bounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.#bounds = bounds;
  }

  /** A new series. To be called once for the same labels. */
  series(labels: Labels): Distribution {
    const distribution = new Distribution(this.#bounds);
    this.#series.push({ labels, distribution });
    return distribution;
  }

  /** As of a `Counter`. */
  drop(isDropped: (labels: Labels) => boolean): void {
    this.#series = this.#series.filter(({ labels }) => !isDropped(labels));
  }

  samples(): readonly Sample[] {
    return this.#series.flatMap(({ labels, distribution }) => this.#samplesOf(labels, distribution));
  }

  #samplesOf(labels: Labels, { bounds, counts, sum }: Distribution): readonly Sample[] {
    let count = 0;
    const buckets = counts.map((inBucket, at) => {
      count += inBucket;
      const le = at < bounds.length ? String(bounds[at]) : "+Inf";
      return { metricName: `${this.name}_bucket`, labels: { ...labels, le }, value: count };
    });
    return [
      ...buckets,
      { metricName: `${this.name}_sum`, labels, value: sum },
      { metricName: `${this.name}_count`, labels, value: count },
    ];
  }
}

/** A family whose series somebody looks up for each scrape. */
export function gauge(name: string, help: string, samples: () => readonly Sample[]): Family {
  return { name, help, type: "gauge", samples };
}

/** The same for what others count. */
export function counter(name: string, help: string, samples: () => readonly Sample[]): Family {
  return { name, help, type: "counter", samples };
}
