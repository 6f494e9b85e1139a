import { createHash, createHmac } from "node:crypto";
import type { Logger } from "pino";
import { loggableDetails } from "./one-line.ts";

export interface AuditOptions {
  readonly log: Logger;
  /** Callers are named by a hash under this key, which is the same for the same caller. Absent: as they are. */
  readonly callerKey?: Buffer;
}

/** Whose task it is, and where. */
export interface Audited {
  readonly id: string;
  readonly route: string;
  readonly caller: string;
  readonly tool: string;
}

/** A request that got nothing. What is not known of it is left out. */
export interface Refused {
  readonly route: string;
  readonly caller?: string | undefined;
  readonly method?: string | undefined;
  /** The task that it was about, whoever's it is, and whether there is one at all. */
  readonly task?: string | undefined;
  /** Of the answer: HTTP's, and that of its JSON-RPC error. */
  readonly status?: number | undefined;
  readonly code?: number | undefined;
  readonly reason: RefusalReason;
  /** Which limit it was, as the configuration calls it. */
  readonly limit?: string | undefined;
}

export type RefusalReason =
  /** There is no such task, or not any more. */
  | "unknown task"
  /** There is, and it is somebody else's; the answer does not say so. */
  | "foreign task"
  /** A `requestState` that was not made for this caller and this request. */
  | "foreign state"
  | "no valid credential"
  | "forbidden"
  | "limit";

/** Twice what the name of a tool should have (Tools §Tool Names). */
const MAX_CHARS = 256;

/**
 * Who did what to which task, a line of the log for each (`log.audit`):
 *
 * | `audit`     | when                                              | beside `caller`, `route`, `tool` and `task`            |
 * | ----------- | ------------------------------------------------- | ------------------------------------------------------ |
 * | `created`   | a task is durable                                 | `held`: the client may never be told of it             |
 * | `read`      | its state or its result goes to a client          | `method`: how it was asked for; `tasks` for a list     |
 * | `answered`  | answers to its server's questions were taken      | `answers`: how many                                    |
 * | `cancelled` | a client cancelled it                             |                                                        |
 * | `adopted`   | another gateway than its first goes on with it    |                                                        |
 * | `ended`     | its ending is durable                             | `kind`: completed, failed, cancelled or lost           |
 * | `refused`   | a request got nothing; see `RefusalReason`        | `status`, `code`, `method`, `reason`, `limit`; no `tool` |
 *
 * Never with arguments, results, questions, answers, headers or credentials. The lines are written whatever the level of the log,
 * since whoever wants them wants all of them.
 *
 * What a client chooses, such as the name of a tool, is cut after `MAX_CHARS` characters, and control characters are escaped.
 *
 * A task is named as `taskName` names it: the id itself is the only key to a task where callers are not told apart, and a log has
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

  /** @param method what the task was read by, as the specification calls it */
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
    // Apart from whatever else is made with the same key.
    return createHmac("sha256", this.#callerKey).update(`audit\n${caller}`).digest("base64url").slice(0, 22);
  }
}

/**
 * A task's name in the log: the first 16 hexadecimal digits of the SHA-256 of its id, from which nobody finds the id. Whoever has
 * the id finds the lines: `printf %s "$id" | sha256sum | cut -c1-16`.
 */
export function taskName(id: string): string {
  return createHash("sha256").update(id).digest("hex").slice(0, 16);
}
