import { Connection, encode } from "../bench/connection.ts";
import type { Request } from "../bench/requests.ts";

/** How long each of many requests took, and how many there were. */
export interface Crowded {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * Sends a request for each item, over so many keep-alive connections with one in flight on each. Hands every response, head included, to `heard`.
 * A connection that is cut is replaced; what was in flight on it is not sent again, and `heard` gets what went wrong.
 * @param requestOf where the request of an item goes, and what it is
 */
export async function sendAll<T>(
  port: number,
  width: number,
  items: readonly T[],
  requestOf: (item: T) => { readonly path: string; readonly request: Request },
  heard: (item: T, response: string | Error) => void,
): Promise<Crowded> {
  const durations: number[] = [];
  let next = 0;
  const work = Array.from({ length: Math.min(width, items.length) }, async () => {
    let connection = await Connection.open(port);
    while (next < items.length) {
      const item = items[next] as T;
      next += 1;
      const { path, request } = requestOf(item);
      const sentAt = performance.now();
      try {
        heard(item, await connection.send(encode(port, path, request)));
      } catch (error) {
        heard(item, error instanceof Error ? error : new Error(String(error)));
        connection.close();
        connection = await Connection.open(port);
      }
      durations.push(performance.now() - sentAt);
    }
    connection.close();
  });
  await Promise.all(work);
  durations.sort((a, b) => a - b);
  const quantile = (q: number) => durations[Math.floor(q * durations.length)] ?? Number.NaN;
  return { count: durations.length, p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}
