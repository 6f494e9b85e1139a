import {
  createApplicationInputHandler,
  type TaskEnabledSession,
} from "@modelcontextprotocol/ext-tasks/client";
import type { Call } from "./row.ts";

/** Longer than anything here takes. */
const MAX_CALL_MS = 150_000;
/** Something for every question of every server here. */
const ANSWER = { name: "Ada", check: true, color: "green", number: 7, pets: "cats" };

export interface Answered {
  readonly kind: "immediate" | "task";
  readonly afterMs: number;
}

/**
 * Calls a tool, and follows the task to its end if it becomes one.
 * @throws when it does not complete with the result that is expected: with what came instead
 */
export async function call(
  session: TaskEnabledSession,
  { tool, args = {}, expected }: Call,
): Promise<Answered> {
  const startedAt = performance.now();
  const signal = AbortSignal.timeout(MAX_CALL_MS);
  const execution = await session.callTool(tool, args as never, { signal });
  const { outcome } = await execution.settle({ signal });
  const afterMs = performance.now() - startedAt;
  if (outcome.status !== "completed")
    throw new Error(`${tool} is ${outcome.status}: ${JSON.stringify(outcome)}`);
  const result = JSON.stringify(outcome.result);
  const texts = textsOf(outcome.result as { content?: unknown });
  if (!expected.test(`${texts}\n${result}`)) throw new Error(`${tool}: expected ${expected} in ${result}`);
  return { kind: execution.kind === "task" ? "task" : "immediate", afterMs };
}

/** @throws when it was not called as a task */
export function toldOfTask(answered: Answered): string {
  if (answered.kind !== "task") throw new Error("was expected to become a task, but was answered at once");
  return told(answered);
}

export function told({ kind, afterMs }: Answered): string {
  return kind === "task" ? `task completed in ${seconds(afterMs)}` : `${Math.round(afterMs)} ms`;
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

function textsOf({ content }: { readonly content?: unknown }): string {
  if (!Array.isArray(content)) return "";
  return content.map(({ text }: { text?: unknown }) => (typeof text === "string" ? text : "")).join("\n");
}

/** What answers the questions of servers, and counts them. */
export function answering(questions: { count: number }) {
  return createApplicationInputHandler({
    elicitation: () => {
      questions.count += 1;
      return { action: "accept", content: ANSWER };
    },
    sampling: () => {
      throw new Error("sampling was not declared");
    },
    roots: () => {
      throw new Error("roots were not declared");
    },
  });
}
