import { Writable } from "node:stream";
import type { DestinationStream } from "pino";
import { build } from "pino-pretty";

/** The fields that a message begins with, in this order: its subject. */
const SUBJECTS = ["setting", "server", "task"] as const;

/** The fields that the messages of the lines about tasks repeat. */
const TOLD = ["event", "tool"];

/** For programs that look a trace up. */
const TRACE = ["trace_id", "span_id"];

/** Turns the JSON lines of the log into lines for people: `12:30:01 WARN  store.url: memory: loses every task …`. */
export function prettyLines(to: DestinationStream, hasColours: boolean): DestinationStream {
  const destination = new Writable({
    // Keeps the lines strings.
    decodeStrings: false,
    write(line: string, _encoding, done) {
      to.write(line);
      done();
    },
  });
  return build({
    colorize: hasColours,
    destination,
    sync: true,
    singleLine: true,
    translateTime: "SYS:HH:MM:ss",
    ignore: ["pid", "hostname", "audit", ...TOLD, ...TRACE, ...SUBJECTS].join(","),
    messageFormat: ({ msg, audit, ...record }) => {
      const named = { ...record, ...(record.task === undefined ? {} : { task: `task ${record.task}` }) };
      const subjects = SUBJECTS.map((name) => named[name as keyof typeof named]).filter(Boolean);
      const what = audit ?? msg;
      return [...subjects, what].map(String).join(": ");
    },
  });
}
