import assert from "node:assert/strict";
import {
  createApplicationInputHandler,
  type TaskEnabledSession,
  type TaskExecutionEvent,
} from "@modelcontextprotocol/ext-tasks/client";

const ANSWER = { name: "Ada Lovelace", check: true, integer: 36 };

/** The two calls of the demo. Each throws when something is not as it should be, and says what that is. */
export class Story {
  readonly #account = new Account();
  readonly #questions: string[] = [];

  /** To be given to the session: answers what the server asks. */
  readonly answer = createApplicationInputHandler({
    elicitation: ({ params }) => {
      const question = String(params.message);
      this.#questions.push(question);
      this.#account.tell(`the server asks: "${question}"`);
      this.#account.tell(`the answer is sent: ${JSON.stringify(ANSWER)}`);
      return { action: "accept", content: ANSWER };
    },
    sampling: () => assert.fail("the server was not expected to ask for a sampling"),
    roots: () => assert.fail("the server was not expected to ask for roots"),
  });

  async longRunningTool(tasks: TaskEnabledSession, seconds: number): Promise<void> {
    const { seen, text } = await this.#call(tasks, "longRunningOperation", {
      duration: seconds,
      steps: seconds,
    });
    const progress = seen.filter((message) => message.includes(` of ${seconds}`));
    assert.ok(progress.length >= 2, `at least two reports of progress were expected, got ${progress.length}`);
    assert.match(
      text,
      /Long running operation completed/,
      `the result of the tool was expected, got: ${text}`,
    );
    assert.ok(this.#account.elapsedMs >= seconds * 1_000, `the tool was expected to work for ${seconds} s`);
  }

  async askingTool(tasks: TaskEnabledSession): Promise<void> {
    const { seen, text } = await this.#call(tasks, "startElicitation", {});
    assert.ok(seen.includes("input_required"), "the task was expected to become input_required");
    assert.equal(this.#questions.length, 1, "exactly one question was expected");
    assert.match(text, new RegExp(ANSWER.name), `the answer was expected in the result, got: ${text}`);
  }

  /** Calls a tool, and follows the task to its end. */
  async #call(tasks: TaskEnabledSession, tool: string, args: Record<string, number>) {
    this.#account.begin();
    const execution = await tasks.callTool(tool, args);
    assert.equal(execution.kind, "task", `${tool} was expected to become a task`);
    assert.ok(this.#account.elapsedMs < 2_000, "the task's handle was expected within 2 s");
    this.#account.tell(`the call has returned, with a handle: task ${execution.handle?.taskId}`);
    const seen: string[] = [];
    const { outcome } = await execution.settle({ onEvent: (event) => this.#follow(event, seen) });
    const why = outcome.status === "failed" ? `: ${outcome.error.message}` : "";
    assert.equal(
      outcome.status,
      "completed",
      `${tool} was expected to complete, but is ${outcome.status}${why}`,
    );
    const [first = "", ...rest] = textsOf("result" in outcome ? outcome.result : {});
    this.#account.tell(`completed: "${first}"`);
    return { seen, text: [first, ...rest].join("\n") };
  }

  /** Tells what is new about the task, and keeps its states and messages in `seen`. */
  #follow(event: TaskExecutionEvent<unknown>, seen: string[]): void {
    if (event.type !== "task") return;
    const { status, statusMessage } = event.task;
    if (!seen.includes(status)) seen.push(status);
    if (status !== "working" || statusMessage === undefined || seen.includes(statusMessage)) return;
    seen.push(statusMessage);
    this.#account.tell(`working: ${statusMessage}`);
  }
}

/** Says what happens, and how long after the call was sent. */
class Account {
  #startedAt = performance.now();

  begin(): void {
    this.#startedAt = performance.now();
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  tell(what: string): void {
    console.log(`  ${(this.elapsedMs / 1_000).toFixed(2).padStart(6)} s  ${what}`);
  }
}

function textsOf({ content }: Readonly<Record<string, unknown>>): string[] {
  if (!Array.isArray(content)) return [];
  return content.flatMap(({ text }: { text?: unknown }) => (typeof text === "string" ? [text] : []));
}
