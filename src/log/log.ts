import type { Writable } from "node:stream";
import { type DestinationStream, destination, type Logger, pino } from "pino";
import { loggable, loggableDetails } from "./one-line.ts";

/** Per text in a line: enough for a line of a server's standard error. */
const MAX_CHARS = 4_200;

/**
 * Creates a logger of JSON lines, by default to standard error, so that standard output stays free for what the command prints. It bounds
 * every text and escapes control characters, whoever chose them.
 */
export function createLog(level: string, to: DestinationStream = logStream()): Logger {
  return pino(
    {
      level,
      base: null,
      formatters: { log: (details) => loggableDetails(details, MAX_CHARS) },
      hooks: {
        logMethod(args, method) {
          const plain = args.map((arg) => (typeof arg === "string" ? loggable(arg, MAX_CHARS) : arg));
          method.apply(this, plain as typeof args);
        },
      },
    },
    to,
  );
}

/** Standard error, written synchronously, so that no line is lost when the process ends. */
export function logStream(): DestinationStream {
  return destination({ fd: 2, sync: true });
}

/** How much may wait for the reader. */
const MAX_WAITING_BYTES = 1_048_576;

/** Drops lines instead of waiting for a slow reader: a parent process may leave our standard error unread. */
export function lossy(stream: Writable): DestinationStream {
  stream.on("error", () => {});
  return {
    write: (line) => {
      if (stream.writableLength <= MAX_WAITING_BYTES) stream.write(line);
    },
  };
}
