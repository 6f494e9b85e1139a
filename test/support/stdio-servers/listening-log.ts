import { type Logger, pino } from "pino";
import { Conditions } from "../conditions.ts";

export interface ListeningLog {
  readonly log: Logger;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** The first line with that message, as soon as there is one. */
  line(msg: string): Promise<Readonly<Record<string, unknown>>>;
}

/** A log that remembers what it was told. */
export function listeningLog(): ListeningLog {
  const lines: Record<string, unknown>[] = [];
  const conditions = new Conditions(() => `the log has ${JSON.stringify(lines)}`);
  const write = (line: string): void => {
    lines.push(JSON.parse(line));
    conditions.check();
  };
  const line: ListeningLog["line"] = (msg) =>
    conditions.found(() => lines.find((each) => each.msg === msg), `"${msg}"`);
  return { log: pino({ level: "debug", base: null }, { write }), lines, line };
}
