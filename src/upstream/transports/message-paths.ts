import { Recent } from "../../lib/recent.ts";
import { lenientPaths } from "../../protocol/lenient-path.ts";

/** Paths without an open stream; most servers have one path for all sessions. */
const MAX_PAST = 256;

/**
 * The paths to which an HTTP+SSE server wants messages posted, as its streams have announced (2024-11-05, Transports §HTTP with SSE). A path
 * is known for as long as a stream that announced it is open, however many other sessions there are: some servers have a path for each.
 */
export class MessagePaths {
  /** By what a lenient server reads in them: the paths as announced, each with the number of its open streams. */
  readonly #open = new Map<string, Map<string, number>>();
  readonly #past = new Recent<string, string>(MAX_PAST);

  /** @param path as announced, without a query */
  learn(path: string): void {
    this.#past.set(readingOf(path), path);
  }

  /** Like `learn`, for a path that is in use until the returned function is called. */
  hold(path: string): () => void {
    const reading = readingOf(path);
    const announced = this.#open.get(reading) ?? new Map<string, number>();
    this.#open.set(reading, announced);
    announced.set(path, (announced.get(path) ?? 0) + 1);
    return () => {
      this.#past.set(reading, path);
      const streams = (announced.get(path) ?? 0) - 1;
      if (streams > 0) announced.set(path, streams);
      else announced.delete(path);
      if (announced.size === 0) this.#open.delete(reading);
    };
  }

  /**
   * Finds where a message for this path belongs: the path itself, or the announced one that the server is likely to take it for, so that
   * nobody goes round the limits of messages by another spelling.
   * @param path with or without a query
   * @returns a path with that query; undefined: no messages go there
   */
  find(path: string): string | undefined {
    if (this.#open.size === 0 && this.#past.size === 0) return undefined;
    const mark = path.indexOf("?");
    const bare = mark === -1 ? path : path.slice(0, mark);
    for (const reading of lenientPaths(bare)) {
      const open = this.#open.get(reading);
      if (open?.has(bare)) return path;
      const [announced = this.#past.get(reading)] = open?.keys() ?? [];
      if (announced !== undefined) return mark === -1 ? announced : announced + path.slice(mark);
    }
    return undefined;
  }
}

function readingOf(path: string): string {
  return lenientPaths(path)[0];
}
