const text = { type: "string" };
const time = { type: "string", format: "date-time" };
const whole = { type: "integer", minimum: 0 };

/** The JSON Schema (2020-12) of what receivers are told (`mcp-taskgate schema webhooks`). */
export function bodySchema(): Record<string, unknown> {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Event of mcp-taskgate",
    oneOf: [
      event(
        [
          "task.created",
          "task.input_required",
          "task.progress",
          "task.completed",
          "task.failed",
          "task.cancelled",
          "task.lost",
        ],
        TOLD,
      ),
      event(["webhook.test"], { required: ["webhook"], properties: { webhook: text } }),
    ],
  };
}

function event(types: readonly string[], data: object): object {
  return {
    type: "object",
    required: ["type", "timestamp", "data"],
    properties: {
      type: { enum: types },
      timestamp: { ...time, description: "When it happened." },
      data: { type: "object", ...data },
    },
  };
}

const TOLD = {
  required: ["task", "name", "server", "tool", "caller"],
  properties: {
    task: {
      type: "object",
      description: "The task as its client sees it, without the result (Task of the Tasks extension).",
      required: ["taskId", "status", "createdAt", "lastUpdatedAt", "ttlMs"],
      properties: {
        taskId: {
          ...text,
          description: "For tasks/get. Where callers are not told apart, it is the key to the task.",
        },
        status: { enum: ["working", "input_required", "completed", "failed", "cancelled"] },
        createdAt: time,
        lastUpdatedAt: time,
        ttlMs: whole,
      },
    },
    name: { ...text, description: "By which log, console and API know the task." },
    server: { ...text, description: "The name of the server in the configuration." },
    tool: text,
    caller: { ...text, description: "As log lines name the caller." },
    questions: { ...whole, description: "task.input_required: how many questions wait for the client." },
    message: { ...text, description: "task.progress: what the server says." },
    isToolError: { const: true, description: "task.completed: the tool says that it failed." },
    errorCode: { type: "integer", description: "task.failed: of the JSON-RPC error." },
    result: { type: "object", description: "task.completed, with include: result. CallToolResult." },
    error: { type: "object", description: "task.failed, with include: result. The JSON-RPC error." },
    omitted: {
      type: "object",
      description: "With include: result, what had no room, and how many bytes the event would have had.",
      additionalProperties: whole,
    },
  },
};
