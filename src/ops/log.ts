import { destination, type Logger, pino } from "pino";

/** Logs JSON lines to standard error, so that standard output stays free for what the command prints. */
export function createLog(level: string): Logger {
  return pino({ level, base: null }, destination({ fd: 2, sync: true }));
}
