import { createHash } from "node:crypto";
import { type TraceContext, traceIds } from "../protocol/trace-context.ts";

/** As long as the short names of commits and containers: a million tasks have one chance in 500 that two share a name. */
const DIGITS = 12;

/**
 * The name by which log, page and API know a task: the first 12 hexadecimal digits of the SHA-256 of its id. Where the gateway cannot
 * tell callers apart, the id is all that protects a task, and these have more readers than the store. Nobody finds the id from the name,
 * but an operator with the id finds the name: `printf %s "$id" | sha256sum | cut -c1-12`.
 */
export function taskName(id: string): string {
  return createHash("sha256").update(id).digest("hex").slice(0, DIGITS);
}

/** The fields by which a log line names a task and, if it has one, its trace. */
export function taskFields({ id, trace }: { readonly id: string; readonly trace?: TraceContext }) {
  const task = taskName(id);
  return trace === undefined ? { task } : { task, ...traceIds(trace) };
}
