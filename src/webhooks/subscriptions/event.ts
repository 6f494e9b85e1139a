import { isModernInput } from "../../calls/input.ts";
import type { EventsErrors } from "../../protocol/events.ts";
import { isObject, type JsonObject } from "../../protocol/jsonrpc.ts";
import { type Delivery, eventId } from "../../store/outbox.ts";
import type { TaskView } from "../../store/task-store.ts";
import { isoTime } from "../../tasks/state.ts";

/** The one event that the gateway tells clients of. Names that begin with `mcp.` are the protocol's. */
export const TASK_UPDATED = "taskgate.task.updated";

const STATUSES = ["input_required", "completed", "failed", "cancelled"] as const;
type ToldStatus = (typeof STATUSES)[number];

/** What a client may want to hear of: everything that it gives must apply. */
export interface EventFilter {
  readonly taskId?: string;
  readonly tool?: string;
  readonly statuses?: readonly ToldStatus[];
}

const MAX_NAME_CHARS = 256;
const text = { type: "string", minLength: 1, maxLength: MAX_NAME_CHARS };
const status = { enum: STATUSES };

/** As `events/list` describes the event. */
export const DEFINITION = {
  name: TASK_UPDATED,
  description:
    "One of your tasks at this server has ended, or asks for input. Get its result, or its questions, with tasks/get.",
  delivery: ["webhook"],
  inputSchema: {
    type: "object",
    properties: {
      taskId: { ...text, description: "Only of this task; if it has ended or asks already, at once." },
      tool: { ...text, description: "Only of calls of this tool." },
      statuses: {
        type: "array",
        items: status,
        minItems: 1,
        uniqueItems: true,
        description: "Only when the task becomes one of these; any of them unless given.",
      },
    },
    additionalProperties: false,
  },
  payloadSchema: {
    type: "object",
    required: ["taskId", "status", "server"],
    properties: {
      taskId: { type: "string", description: "For tasks/get." },
      status,
      server: { type: "string", description: "The name of the server at the gateway." },
      tool: { type: "string" },
    },
  },
} as const satisfies JsonObject;

/** @throws -32602 */
export function readFilter(given: unknown, errors: EventsErrors): EventFilter {
  if (given === undefined) return {};
  if (!isObject(given)) throw errors.invalidParams("arguments must be an object");
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(DEFINITION.inputSchema.properties, name));
  if (unknown !== undefined)
    throw errors.invalidParams(
      `arguments must have no ${JSON.stringify(unknown.slice(0, 100))}: ${TASK_UPDATED} takes taskId, tool, statuses`,
    );
  const { taskId, tool, statuses } = given;
  return {
    ...(taskId === undefined ? {} : { taskId: readName(taskId, "arguments.taskId", errors) }),
    ...(tool === undefined ? {} : { tool: readName(tool, "arguments.tool", errors) }),
    ...(statuses === undefined ? {} : { statuses: readStatuses(statuses, errors) }),
  };
}

function readName(given: unknown, where: string, errors: EventsErrors): string {
  if (typeof given === "string" && given !== "" && given.length <= MAX_NAME_CHARS) return given;
  throw errors.invalidParams(`${where} must be a text of 1 to ${MAX_NAME_CHARS} characters`);
}

function readStatuses(given: unknown, errors: EventsErrors): readonly ToldStatus[] {
  const known = Array.isArray(given) ? STATUSES.filter((each) => given.includes(each)) : [];
  if (Array.isArray(given) && given.length > 0 && given.length === known.length) return known;
  throw errors.invalidParams(
    `arguments.statuses must be a list of some of ${STATUSES.join(", ")}, each once`,
  );
}

/** What is told of this; `undefined`: the client does not want to hear of it. */
export function eventOf(
  view: TaskView,
  delivery: Pick<Delivery, "kind" | "at" | "task" | "mark">,
  { taskId, tool, statuses }: EventFilter,
): string | undefined {
  const { task } = view;
  const status = statusOf(view, delivery);
  if (status === undefined || (statuses !== undefined && !statuses.includes(status))) return undefined;
  if ((taskId !== undefined && taskId !== task.id) || (tool !== undefined && tool !== task.tool))
    return undefined;
  const at = delivery.kind === "ended" ? (view.outcome?.endedAt ?? delivery.at) : delivery.at;
  // A top-level `type` would make it a message about the subscription itself.
  return JSON.stringify({
    eventId: eventId(delivery),
    name: TASK_UPDATED,
    timestamp: isoTime(Math.max(at, task.createdAt)),
    data: { taskId: task.id, status, server: task.route, tool: task.tool },
  });
}

function statusOf({ task, outcome }: TaskView, { kind }: Pick<Delivery, "kind">): ToldStatus | undefined {
  if (kind === "asked") {
    // A server may ask a legacy client more than tasks/get shows this one.
    const open = Object.values(task.inputRequests);
    return open.length === 0 || open.some(isModernInput) ? "input_required" : undefined;
  }
  if (kind !== "ended" || outcome === undefined) return undefined;
  return outcome.kind === "lost" ? "failed" : outcome.kind;
}
