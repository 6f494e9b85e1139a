import { collectDefaultMetrics, Registry } from "prom-client";
import type { Family, Labels } from "./families.ts";

/** Metrics that are named like counters and are none: linters complain, and others have the same numbers. */
const MISNAMED = [
  "nodejs_active_handles_total",
  "nodejs_active_requests_total",
  "nodejs_active_resources_total",
];

/** What prom-client knows of the process: processor time, memory, heap, garbage collections, the lag of the event loop. */
export class ProcessMetrics {
  readonly #registry = new Registry();

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    for (const name of MISNAMED) this.#registry.removeSingleMetric(name);
  }

  async families(): Promise<readonly Family[]> {
    const metrics = await this.#registry.getMetricsAsJSON();
    return metrics.map(({ name, help, type, values }) => ({
      name,
      help,
      type: String(type) as Family["type"],
      samples: () =>
        values.map((sample) => ({
          ...("metricName" in sample ? { metricName: String(sample.metricName) } : {}),
          labels: textsOf(sample.labels),
          value: sample.value,
        })),
    }));
  }
}

/** prom-client gives the bounds of buckets as numbers. */
function textsOf(labels: Readonly<Partial<Record<string, string | number>>> = {}): Labels {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]));
}
