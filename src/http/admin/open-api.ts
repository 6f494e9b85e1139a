import { STATUSES } from "../../admin/task-summary.ts";
import { MAX_HOURS } from "../../observers/calls/call-counts.ts";

const text = { type: "string" };
const whole = { type: "integer", minimum: 0 };
const time = { type: "string", format: "date-time" };
const name = { type: "string", pattern: "^[0-9a-f]{12}$" };

const summary = {
  name: { ...name, description: "Part of a hash of the task's id, as in the log." },
  server: text,
  tool: text,
  caller: text,
  status: { enum: STATUSES },
  generation: { enum: ["2026-07-28", "2025-11-25", "none"] },
  createdAt: time,
  updatedAt: time,
  endedAt: time,
  durationMs: whole,
  replica: text,
  questions: whole,
  errorCode: { type: "integer" },
  reason: { ...text, description: "Why it ended without a good result, in the gateway's own words." },
};
const servers = { type: "array", items: text };
const REQUIRED = [
  "name",
  "server",
  "tool",
  "caller",
  "status",
  "createdAt",
  "updatedAt",
  "durationMs",
  "replica",
  "questions",
];

const FIGURES = {
  tool: { ...text, description: "_other: all tools that the server does not list here." },
  mode: { enum: ["never", "observe", "auto", "always", "required"] },
  calls: whole,
  p50Ms: whole,
  p95Ms: whole,
  maxMs: whole,
  long: { ...whole, description: "Calls that ran longer than waitFor." },
  abandoned: { ...whole, description: "Calls that their clients gave up." },
  abandonedMs: { ...whole, description: "After how long most of those were given up." },
  verdict: { enum: ["rule", "fits", "not enough seen", "not listed"] },
};
const REQUIRED_FIGURES = Object.keys(FIGURES).filter((name) => name !== "abandonedMs");

const SCHEMAS = {
  TaskSummary: { type: "object", required: REQUIRED, additionalProperties: false, properties: summary },
  TaskListing: object(
    {
      tasks: { type: "array", items: ref("TaskSummary") },
      nextCursor: text,
      counts: { type: "object", required: STATUSES, additionalProperties: whole },
      looked: { ...whole, description: "How many tasks were looked at for this page, and are in counts." },
    },
    ["tasks", "counts", "looked"],
  ),
  TaskStory: object(
    {
      ...summary,
      expiresAt: time,
      story: {
        type: "array",
        items: object(
          {
            at: time,
            what: { enum: ["created", "sent", "asked", "answered", "detached", "adopted", "left", "ended"] },
            count: whole,
            replica: text,
          },
          ["at", "what"],
        ),
      },
      payloads: {
        type: "object",
        description: "Only with admin.payloads.",
        properties: { message: text, questions: { type: "object" }, outcome: { type: "object" } },
        required: ["questions"],
      },
    },
    [...REQUIRED, "story"],
  ),
  Servers: object(
    {
      servers: {
        type: "array",
        items: {
          type: "object",
          required: ["name", "paths", "upstream", "transport", "returns", "sessions", "tools", "tasks"],
          properties: {
            name: text,
            paths: { type: "array", items: text },
            upstream: text,
            transport: text,
            isThere: { type: "boolean" },
            returns: whole,
            sessions: whole,
            info: { type: "object" },
            protocolVersion: text,
            tools: whole,
            tasks: { type: "object", additionalProperties: whole },
            p95Ms: {
              ...whole,
              description: "How long 95 % of its tools' calls took at most that were over in the last hour.",
            },
            oldestCallMs: {
              ...whole,
              description: "For how long its oldest call here has run that does not wait for answers.",
            },
          },
        },
      },
    },
    ["servers"],
  ),
  Replicas: object(
    {
      replicas: {
        type: "array",
        items: {
          type: "object",
          required: ["id", "isMe", "isAlive", "tasks"],
          properties: {
            id: text,
            isMe: { type: "boolean" },
            isAlive: { type: "boolean" },
            tasks: whole,
            host: text,
            pid: whole,
            version: text,
            startedAt: whole,
          },
        },
      },
    },
    ["replicas"],
  ),
  Suggestions: object(
    {
      replica: { ...text, description: "The gateway whose calls these are: each counts its own." },
      since: { ...time, description: "It counted the calls from then on." },
      servers: {
        type: "array",
        items: object(
          {
            name: text,
            tools: { type: "array", items: object(FIGURES, REQUIRED_FIGURES) },
            rules: {
              type: "array",
              items: object(
                { match: text, mode: { enum: ["auto", "always", "required"] }, waitFor: text, reason: text },
                ["match", "mode", "reason"],
              ),
            },
          },
          ["name", "tools", "rules"],
        ),
      },
      yaml: { ...text, description: "The rules for the configuration file, with their reasons as comments." },
    },
    ["replica", "since", "servers", "yaml"],
  ),
  Refusals: object(
    {
      refusals: {
        type: "array",
        items: object(
          {
            server: text,
            caller: text,
            reason: { ...text, description: "As the log says it." },
            limit: { ...text, description: "The limit that was reached, as the configuration names it." },
            count: whole,
            firstAt: time,
            lastAt: time,
          },
          ["server", "reason", "count", "firstAt", "lastAt"],
        ),
      },
    },
    ["refusals"],
  ),
  Webhooks: object(
    {
      webhooks: {
        type: "array",
        items: object(
          {
            name: text,
            url: text,
            events: { type: "array", items: text },
            waiting: { ...whole, description: "Counted up to 1000." },
            undelivered: { ...whole, description: "Given up in the last week; counted up to 1000." },
            failures: {
              ...whole,
              description: "How often in a row it has not taken an event of this gateway.",
            },
            deliveredAt: time,
            failure: text,
          },
          ["name", "url", "events", "waiting", "undelivered", "failures"],
        ),
      },
      subscriptions: {
        ...object(
          { total: whole, here: { ...whole, description: "How many of them this gateway delivers to." } },
          ["total", "here"],
        ),
        description: "Of clients, to what happens to their tasks. Absent: clients have none.",
      },
    },
    ["webhooks"],
  ),
  Undelivered: object(
    {
      events: {
        type: "array",
        items: object(
          {
            event: text,
            webhook: text,
            task: name,
            kind: { enum: ["created", "asked", "progress", "ended"] },
            at: time,
            givenUpAt: time,
            attempts: whole,
            failure: text,
          },
          ["event", "webhook", "task", "kind", "at", "givenUpAt", "attempts"],
        ),
      },
    },
    ["events"],
  ),
  Redelivered: object({ events: { ...whole, description: "How many are delivered again." } }, ["events"]),
  Tested: {
    type: "object",
    required: ["kind"],
    properties: {
      kind: { enum: ["accepted", "refused", "unreachable"] },
      status: whole,
      reason: text,
    },
  },
  Stats: object(
    {
      replica: text,
      until: time,
      stepMs: whole,
      samples: {
        type: "array",
        description: "By steps of stepMs, the oldest first; the last has only begun.",
        items: object(
          {
            calls: counts("answered", "abandoned", "failed", "refused", "interim"),
            p50Ms: whole,
            p95Ms: whole,
            tasks: counts("completed", "tool_error", "failed", "cancelled", "lost"),
          },
          ["calls", "p50Ms", "p95Ms", "tasks"],
        ),
      },
    },
    ["replica", "until", "stepMs", "samples"],
  ),
  Config: { type: "object" },
  Reload: object(
    {
      outcome: { enum: ["applied", "unchanged"] },
      added: servers,
      removed: { ...servers, description: "Their calls end; their tasks stay." },
      replaced: { ...servers, description: "New calls go to another one of the same name." },
      ruled: { ...servers, description: "The rules for their tools are different." },
      limits: { type: "array", items: text, description: "Limits that are different." },
      restart: { type: "array", items: text, description: "Settings that only a restart applies." },
    },
    ["outcome", "restart"],
  ),
  Problem: object({ type: text, title: text, status: whole, detail: text }, [
    "type",
    "title",
    "status",
    "detail",
  ]),
};

const FILTERS = [
  query("server", text),
  query("tool", text),
  query("status", { enum: STATUSES }),
  query("caller", text),
  query("maxAge", { type: "integer", minimum: 1, description: "Created so many seconds ago at most." }),
  query("limit", { type: "integer", minimum: 1, maximum: 500, default: 100 }),
  query("cursor", { ...text, description: "The nextCursor of a page with the same filters." }),
];
const NAME = [{ name: "name", in: "path", required: true, schema: name }];
const WEBHOOK = [{ name: "name", in: "path", required: true, schema: text }];

/** The API as OpenAPI 3.1. */
export function openApi(version: string): object {
  return {
    openapi: "3.1.0",
    info: { title: "mcp-taskgate, for operators", version },
    servers: [{ url: "/" }],
    security: [{ token: [] }, {}],
    paths: {
      "/api/tasks": {
        get: operation("The tasks of all callers, those created last first", "TaskListing", FILTERS),
      },
      "/api/tasks/{name}": { get: operation("One task and what happened to it", "TaskStory", NAME) },
      "/api/tasks/{name}/cancel": { post: operation("Cancels a task that has not ended", "TaskStory", NAME) },
      "/api/servers": { get: operation("The servers, as this gateway knows them", "Servers") },
      "/api/replicas": { get: operation("The gateways that share the store", "Replicas") },
      "/api/suggestions": {
        get: operation("Rules that the calls counted here suggest", "Suggestions", [
          query("hours", {
            type: "integer",
            minimum: 1,
            maximum: MAX_HOURS,
            description: "Of the last so many hours only. Absent: since the gateway started.",
          }),
        ]),
      },
      "/api/stats": {
        get: operation("What became of the calls of the last quarter of an hour here", "Stats"),
      },
      "/api/refusals": { get: operation("Who was refused here in the last hour, and why", "Refusals") },
      "/api/webhooks": { get: operation("Who is told of tasks, and how that goes", "Webhooks") },
      "/api/webhooks/{name}/undelivered": {
        get: operation("The last 100 events that were given up", "Undelivered", WEBHOOK),
      },
      "/api/webhooks/{name}/redeliver": {
        post: operation("Delivers again what was given up", "Redelivered", [
          ...WEBHOOK,
          query("event", text),
        ]),
      },
      "/api/webhooks/{name}/test": {
        post: operation("Sends an event that tells nothing", "Tested", WEBHOOK),
      },
      "/api/config": { get: operation("The configuration in force, secrets masked", "Config") },
      "/api/reload": {
        post: operation("Takes over the configuration file as it is, all of it or nothing", "Reload"),
      },
      "/api/events": {
        get: {
          summary: "What happens to tasks from now on, as server-sent events",
          responses: { 200: { description: "OK", content: { "text/event-stream": {} } }, default: FAILED },
        },
      },
      "/api/openapi.json": { get: operation("This document", "Config") },
    },
    components: {
      schemas: SCHEMAS,
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
    },
  };
}

const FAILED = {
  description: "Problem details (RFC 9457)",
  content: { "application/problem+json": { schema: ref("Problem") } },
};

function operation(
  summary: string,
  schema: keyof typeof SCHEMAS,
  parameters: readonly object[] = [],
): object {
  const content = { "application/json": { schema: ref(schema) } };
  return {
    summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    responses: { 200: { description: "OK", content }, default: FAILED },
  };
}

function counts(...names: readonly string[]): object {
  return object(Object.fromEntries(names.map((name) => [name, whole])), names);
}

function object(properties: object, required: readonly string[]): object {
  return { type: "object", required, additionalProperties: false, properties };
}

function query(name: string, schema: object): object {
  return { name, in: "query", schema };
}

function ref(schema: string): object {
  return { $ref: `#/components/schemas/${schema}` };
}
