import type { Writable } from "node:stream";
import { type DestinationStream, destination, type Logger, pino } from "pino";

/** Logs JSON lines: to standard error unless told otherwise, so that standard output stays free for what the command prints. */
export function createLog(level: string, to: DestinationStream = destination({ fd: 2, sync: true })): Logger {
  return pino({ level, base: null }, to);
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
