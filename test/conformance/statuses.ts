import type { Check } from "./verdict.ts";

/** By scenario. */
export type Results = ReadonlyMap<string, readonly Check[]>;

/** What the suite notes of the requests that it makes. How many events there are is a matter of time. */
const TRAFFIC = new Set(["outgoing-request", "incoming-response", "incoming-sse-event"]);

/** Every check of a scenario with its status; one that is made several times has its number. */
export function statuses(results: Results, scenario: string): Record<string, string> {
  const counts = new Map<string, number>();
  const checks = results.get(scenario) ?? [];
  const entries = checks
    .filter(({ id, status }) => !(status === "INFO" && TRAFFIC.has(id)))
    .map(({ id, status }) => {
      const count = (counts.get(id) ?? 0) + 1;
      counts.set(id, count);
      return [count === 1 ? id : `${id} ${count}`, status];
    });
  return Object.fromEntries(entries);
}
