/** How the tests of the session of `@modelcontextprotocol/ext-tasks` follow its calls, in either generation of tasks. */

import type { TaskExecutionEvent, ToolExecution } from "@modelcontextprotocol/ext-tasks/client";
import type { Json } from "../support/modern-client.ts";

/** Follows an execution to its end, and keeps the states it was seen in, each once. */
export async function follow(execution: ToolExecution<Json>) {
  const seen = new Set<string>();
  const { outcome } = await execution.settle({
    onEvent: (event: TaskExecutionEvent<Json>) => {
      if (event.type === "task") seen.add(event.task.status);
    },
  });
  return { outcome, seen: [...seen] };
}

/** The outcome of a tool that says one thing. */
export function completed(text: string) {
  return { status: "completed", result: { content: [{ type: "text", text }] } };
}
