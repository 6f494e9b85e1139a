import { Recent } from "../ops/recent.ts";

/** Most servers have one path; some have one for each session. */
const MAX_PATHS = 256;

/** The paths to which an HTTP+SSE server wants messages posted, as its streams have announced (2024-11-05, Transports §HTTP with SSE). */
export class MessagePaths {
  readonly #paths = new Recent<string, true>(MAX_PATHS);

  /** @param path without a query */
  learn(path: string): void {
    this.#paths.set(path, true);
  }

  /** @param path with or without a query */
  has(path: string): boolean {
    return this.#paths.size > 0 && this.#paths.get(path.split("?", 1)[0] ?? "") === true;
  }
}
