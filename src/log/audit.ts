import { createHash, createHmac } from "node:crypto";
import type { Logger } from "pino";
import { loggableDetails } from "./one-line.ts";

export interface AuditOptions {
  readonly log: Logger;
  /** The lines name a caller by a hash with this key, always the same for one caller. Absent: by its plain name. */
  readonly callerKey?: Buffer;
}

/** The task that a line is about. */
export interface Audited {
  readonly id: string;
  readonly route: string;
  readonly caller: string;
  readonly tool: string;
}

/** A refused request. Fields that the gateway does not know are absent. */
export interface Refused {
  readonly route: string;
  readonly caller?: string | undefined;
  readonly method?: string | undefined;
  /** The id in the request, whether or not such a task exists and the caller owns it. */
  readonly task?: string | undefined;
  /** Of the answer: the HTTP status, and the code of the JSON-RPC error. */
  readonly status?: number | undefined;
  readonly code?: number | undefined;
  readonly reason: RefusalReason;
  /** The limit that was reached, as the configuration names it. */
  readonly limit?: string | undefined;
}

export type RefusalReason =
  /** The task does not exist, or has gone. */
  | "unknown task"
  /** The task belongs to another caller; the answer does not say so. */
  | "foreign task"
  /** A `requestState` that the gateway did not make for this caller and this request. */
  | "foreign state"
  | "no valid credential"
  | "forbidden"
  | "limit";

/** Twice the recommended length of a tool's name (Tools §Tool Names). */
const MAX_CHARS = 256;

/**
 * Writes a log line for each thing that somebody does to a task (`log.audit`):
 *
 * | `audit`     | when                                              | beside `caller`, `route`, `tool` and `task`            |
 * | ----------- | ------------------------------------------------- | ------------------------------------------------------ |
 * | `created`   | a task is durable                                 | `held`: the client may never learn of it               |
 * | `read`      | a client gets its state or its result             | `method`: of the request; `tasks` for a list           |
 * | `answered`  | a client answered its server's questions          | `answers`: how many                                    |
 * | `cancelled` | a client cancelled it                             |                                                        |
 * | `adopted`   | another gateway took it over                      |                                                        |
 * | `ended`     | its outcome is durable                            | `kind`: completed, failed, cancelled or lost           |
 * | `refused`   | the gateway refused a request (`RefusalReason`)   | `status`, `code`, `method`, `reason`, `limit`; no `tool` |
 *
 * The lines never contain arguments, results, questions, answers, headers or credentials. They ignore the level of the log: an operator
 * who wants them wants all of them.
 *
 * Texts that a client chooses, such as the name of a tool, are cut after `MAX_CHARS` characters, with control characters escaped.
 *
 * The lines name a task by `taskName`: where the gateway cannot tell callers apart, the id is all that protects a task, and a log has
 * more readers than the store.
 */
export class Audit {
  readonly #log: Logger;
  readonly #callerKey: Buffer | undefined;

  constructor({ log, callerKey }: AuditOptions) {
    this.#log = log.child({}, { level: "info" });
    this.#callerKey = callerKey;
  }

  created(task: Audited, isHeld: boolean): void {
    this.#say("created", task, isHeld ? { held: true } : {});
  }

  /** @param method the method of the specification that read the task */
  read(task: Audited, method: string): void {
    this.#say("read", task, { method });
  }

  listed({ route, caller }: Pick<Audited, "route" | "caller">, ids: readonly string[]): void {
    const tasks = ids.map(taskName);
    this.#write("read", { caller: this.#nameOf(caller), route, method: "tasks/list", tasks });
  }

  answered(task: Audited, answers: number): void {
    this.#say("answered", task, { answers });
  }

  cancelled(task: Audited): void {
    this.#say("cancelled", task);
  }

  adopted(task: Audited): void {
    this.#say("adopted", task);
  }

  ended(task: Audited, kind: string): void {
    this.#say("ended", task, { kind });
  }

  refused({ caller, task, ...rest }: Refused): void {
    this.#write("refused", {
      ...(caller === undefined ? {} : { caller: this.#nameOf(caller) }),
      ...(task === undefined ? {} : { task: taskName(task) }),
      ...rest,
    });
  }

  #say(event: string, { id, route, caller, tool }: Audited, details: object = {}): void {
    this.#write(event, { caller: this.#nameOf(caller), route, tool, task: taskName(id), ...details });
  }

  #write(event: string, details: object): void {
    this.#log.info({ audit: event, ...loggableDetails(details, MAX_CHARS) });
  }

  #nameOf(caller: string): string {
    if (this.#callerKey === undefined) return caller;
    // The prefix separates these names from other uses of the key.
    return createHmac("sha256", this.#callerKey).update(`audit\n${caller}`).digest("base64url").slice(0, 22);
  }
}

/**
 * A task's name in the log: the first 16 hexadecimal digits of the SHA-256 of its id. Nobody finds the id from the name, but an operator
 * with the id finds the lines: `printf %s "$id" | sha256sum | cut -c1-16`.
 */
export function taskName(id: string): string {
  return createHash("sha256").update(id).digest("hex").slice(0, 16);
}
