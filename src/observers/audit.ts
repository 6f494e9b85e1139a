import type { Logger } from "pino";
import { loggableDetails } from "../log/one-line.ts";
import { taskFields, taskName } from "../log/task-name.ts";
import type { TaskRecord } from "../store/task-store.ts";
import type { Observer, TaskEvent } from "../tasks/task-event.ts";

export interface AuditOptions {
  readonly log: Logger;
  /** How the lines name a caller. */
  readonly nameOf: (caller: string) => string;
}

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
 * | `cancelled` | a client cancelled it, or the operator            | `by`: operator                                         |
 * | `adopted`   | another gateway took it over                      |                                                        |
 * | `ended`     | its outcome is durable                            | `kind`: completed, failed, cancelled or lost           |
 * | `refused`   | the gateway refused a request (`RefusalReason`)   | `status`, `code`, `method`, `reason`, `limit`; no `tool` |
 *
 * The lines never contain arguments, results, questions, answers, headers or credentials. They ignore the level of the log: an operator
 * who wants them wants all of them. Texts that a client chooses, such as the name of a tool, are cut after `MAX_CHARS` characters, with
 * control characters escaped.
 */
export function audit({ log: given, nameOf }: AuditOptions): Observer {
  const log = given.child({}, { level: "info" });
  const write = (what: string, details: object) =>
    log.info({ audit: what, ...loggableDetails(details, MAX_CHARS) });
  const about = (task: TaskRecord) => ({
    caller: nameOf(task.caller),
    route: task.route,
    tool: task.tool,
    ...taskFields(task),
  });
  return (event: TaskEvent) => {
    switch (event.kind) {
      case "created":
        return write(event.kind, { ...about(event.task), ...(event.isHeld ? { held: true } : {}) });
      case "read":
        return write(event.kind, { ...about(event.task), method: event.method });
      case "listed": {
        const { route, caller } = event.owner;
        const tasks = event.ids.map(taskName);
        return write("read", { caller: nameOf(caller), route, method: "tasks/list", tasks });
      }
      case "answered":
        return write(event.kind, { ...about(event.task), answers: event.answers });
      case "cancelled":
        return write(event.kind, {
          ...about(event.task),
          ...(event.by === "client" ? {} : { by: event.by }),
        });
      case "adopted":
        return write(event.kind, about(event.task));
      case "ended":
        return write(event.kind, { ...about(event.task), kind: event.outcome.kind });
      case "refused": {
        const { kind, caller, task, ...rest } = event;
        const who = caller === undefined ? {} : { caller: nameOf(caller) };
        return write(kind, { ...who, ...(task === undefined ? {} : { task: taskName(task) }), ...rest });
      }
      // What the server and the gateway do.
      case "sent":
      case "progress":
      case "asked":
      case "detached":
      case "left":
        return;
    }
  };
}
