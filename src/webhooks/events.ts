import type { WebhookConfig, WebhookEvent } from "../config/config.ts";
import type { Glob } from "../glob.ts";
import { taskName } from "../log/task-name.ts";
import type { JsonObject } from "../protocol/jsonrpc.ts";
import type { Delivery, News, NewsKind } from "../store/outbox.ts";
import type { Outcome, TaskRecord, TaskView } from "../store/task-store.ts";
import { isoTime, ttlMs } from "../tasks/state.ts";

/** Of which events a receiver is told, with its globs compiled. */
export interface Interest {
  readonly events: ReadonlySet<WebhookEvent>;
  /** Absent: tasks of all servers. */
  readonly servers?: ReadonlySet<string> | undefined;
  /** Absent: calls of all tools. */
  readonly tools?: readonly Glob[] | undefined;
}

/** What is told of a task, as JSON. `bodySchema` describes it. */
export interface WebhookBody {
  readonly type: `task.${WebhookEvent}`;
  /** When it happened. */
  readonly timestamp: string;
  readonly data: {
    readonly task: {
      readonly taskId: string;
      readonly status: "working" | "input_required" | "completed" | "failed" | "cancelled";
      readonly createdAt: string;
      readonly lastUpdatedAt: string;
      readonly ttlMs: number;
    };
    /** By which log, page and API know the task. */
    readonly name: string;
    readonly server: string;
    readonly tool: string;
    readonly caller: string;
  } & JsonObject;
}

export interface BodyOptions {
  readonly include: WebhookConfig["include"];
  readonly nameOf: (caller: string) => string;
}

/** With the result, if there is room for it. Standard Webhooks advises less than 20 KB; some receivers take no more than this. */
const MAX_BODY_BYTES = 262_144;

/** Whether a receiver wants to hear of this. */
export function isWanted({ events, servers, tools }: Interest, task: TaskRecord, news: News): boolean {
  return (
    events.has(eventOf(news.kind, news.kind === "ended" ? news.outcome : undefined)) &&
    (servers === undefined || servers.has(task.route)) &&
    (tools === undefined || tools.some((matches) => matches(task.tool)))
  );
}

/** What happened, in the words of the configuration. A task that has not ended cannot have ended in some way. */
function eventOf(kind: NewsKind, outcome: Outcome | undefined): WebhookEvent {
  switch (kind) {
    case "created":
      return "created";
    case "asked":
      return "input_required";
    case "progress":
      return "progress";
    case "ended":
      return outcome?.kind ?? "lost";
  }
}

/**
 * What a receiver is told; `undefined`: it does not want to hear of how the task has ended.
 * @param view for a delivery of `ended`: of a task that has
 */
export function bodyOf(
  view: TaskView,
  delivery: Pick<Delivery, "kind" | "at">,
  interest: Interest,
  options: BodyOptions,
): string | undefined {
  const { task, outcome } = view;
  const event = eventOf(delivery.kind, outcome);
  if (!interest.events.has(event)) return undefined;
  const at = timeOf(view, delivery);
  const body: WebhookBody = {
    type: `task.${event}`,
    timestamp: isoTime(at),
    data: {
      task: {
        taskId: task.id,
        status: STATUS[event],
        createdAt: isoTime(task.createdAt),
        lastUpdatedAt: isoTime(at),
        ttlMs: ttlMs(task, at),
      },
      name: taskName(task.id),
      server: task.route,
      tool: task.tool,
      caller: options.nameOf(task.caller),
      ...detailsOf(view, event),
    },
  };
  const short = JSON.stringify(body);
  const contents =
    options.include === "result" && delivery.kind === "ended" ? contentsOf(outcome) : undefined;
  if (contents === undefined) return short;
  // The contents are JSON already, and large.
  const whole = `${short.slice(0, -2)},${JSON.stringify(contents.name)}:${contents.json}}}`;
  const bytes = Buffer.byteLength(whole);
  if (bytes <= MAX_BODY_BYTES) return whole;
  return JSON.stringify({ ...body, data: { ...body.data, omitted: { [contents.name]: bytes } } });
}

const STATUS = {
  created: "working",
  progress: "working",
  input_required: "input_required",
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
  lost: "failed",
} as const satisfies Record<WebhookEvent, WebhookBody["data"]["task"]["status"]>;

function timeOf({ task, outcome }: TaskView, { kind, at }: Pick<Delivery, "kind" | "at">): number {
  if (kind === "created" && task.rounds === undefined) return task.createdAt;
  return Math.max(task.createdAt, kind === "ended" ? (outcome?.endedAt ?? at) : at);
}

function detailsOf({ task, outcome }: TaskView, event: WebhookEvent): JsonObject {
  switch (event) {
    case "progress":
      return task.statusMessage === undefined ? {} : { message: task.statusMessage };
    case "input_required":
      return { questions: Object.keys(task.inputRequests).length };
    case "completed":
      return outcome?.kind === "completed" && outcome.failure !== undefined ? { isToolError: true } : {};
    case "failed":
      return outcome?.kind === "failed" ? { errorCode: outcome.error.code } : {};
    case "created":
    case "cancelled":
    case "lost":
      return {};
  }
}

function contentsOf(
  outcome: Outcome | undefined,
): { readonly name: string; readonly json: string } | undefined {
  switch (outcome?.kind) {
    case "completed":
      return { name: "result", json: outcome.result };
    case "failed":
      return { name: "error", json: JSON.stringify(outcome.error) };
    case "cancelled":
    case "lost":
    case undefined:
      return undefined;
  }
}
