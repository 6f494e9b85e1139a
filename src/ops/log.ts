import type { Writable } from "node:stream";
import { type DestinationStream, destination, type Logger, pino } from "pino";
import { loggable, loggableDetails } from "./one-line.ts";

/** Of one text in a line; a line of a server's standard error has as many. */
const MAX_CHARS = 4_200;

/**
 * Logs JSON lines: to standard error unless told otherwise, so that standard output stays free for what the command prints.
 * Texts in them are bounded, and control characters escaped, whoever chose them.
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

/** Standard error, written to at once: a line is there when the process ends. */
export function logStream(): DestinationStream {
  return destination({ fd: 2, sync: true });
}

/** What may wait to be read. */
const MAX_WAITING_BYTES = 1_048_576;

/** Drops what a reader does not read, and waits for nobody: whoever starts a program may leave its standard error unread. */
export function lossy(stream: Writable): DestinationStream {
  stream.on("error", () => {});
  return {
    write: (line) => {
      if (stream.writableLength <= MAX_WAITING_BYTES) stream.write(line);
    },
  };
}
