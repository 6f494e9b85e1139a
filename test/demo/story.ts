import assert from "node:assert/strict";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import {
  createApplicationInputHandler,
  type TaskEnabledSession,
  type TaskExecutionEvent,
} from "@modelcontextprotocol/ext-tasks/client";
import { taskSession } from "../../src/client/task-session.ts";
import { live, say } from "./page.ts";

const ANSWER = { name: "Ada Lovelace", check: true, integer: 36 };

const LONG_TOOL = "longRunningOperation";
/** What the text of the fallback tells a model to do. */
const NEXT = /call the tool (\S+) with (\{"task":"[^"]+"\})/;

/** The calls of the demo. Each throws when something is not as it should be, and says what that is. */
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

  /** A client that gives up after a while, as all do, calls the server itself. */
  async lostCall(url: string, seconds: number, timeoutMs: number): Promise<void> {
    const client = await plainClient(url);
    this.#account.begin();
    const lost = await client
      .callTool({ name: LONG_TOOL, arguments: { duration: seconds, steps: seconds } }, { timeout: timeoutMs })
      .then(
        () => assert.fail("the call was expected to be given up"),
        (error: Error) => error,
      );
    this.#account.tell(`lost: "${lost.message}"`);
    await client.close();
  }

  /** A client that knows no tasks, with the same time-out: its model does what the text says. */
  async plainCall(url: string, seconds: number, timeoutMs: number): Promise<void> {
    const client = await plainClient(url);
    this.#account.begin();
    const call = async (name: string, args: Record<string, unknown>) => {
      const result = await client.callTool({ name, arguments: args }, { timeout: timeoutMs });
      return textsOf(result).join("\n");
    };
    let text = await call(LONG_TOOL, { duration: seconds, steps: seconds });
    assert.match(text, NEXT, `the model was expected to be told what to call next, got: ${text}`);
    this.#account.tell(`its model reads: "${text.slice(0, text.indexOf("This is not"))}…"`);
    for (let next = NEXT.exec(text); next !== null; next = NEXT.exec(text)) {
      const [, tool = "", args = ""] = next;
      this.#account.tell(`its model calls ${tool} ${args}`);
      text = await call(tool, JSON.parse(args));
    }
    assert.match(text, /Long running operation completed/, `the result was expected, got: ${text}`);
    this.#account.tell(`completed: "${text}"`);
    await client.close();
  }

  /** The gateway is killed while the tool works. @param kill kills it, and starts it again */
  async survivor(url: string, seconds: number, kill: () => Promise<void>): Promise<void> {
    const session = await taskSession(url);
    this.#account.begin();
    let killed: Promise<void> | undefined;
    const result = await session.call(
      LONG_TOOL,
      { duration: seconds, steps: seconds },
      {
        onTask: (taskId) => this.#account.tell(`the call has returned, with a handle: task ${taskId}`),
        onProgress: ({ message = "" }) => {
          this.#account.progress(`working: ${message}`);
          if (killed !== undefined || !message.startsWith("2 of ")) return;
          this.#account.tell("kill -9 of the gateway, and a new one on its store");
          killed = kill().then(() => this.#account.tell("the new gateway is there"));
        },
      },
    );
    assert.ok(killed !== undefined, "the gateway was expected to be killed in the middle");
    await killed;
    const [text = ""] = textsOf(result);
    assert.match(text, /Long running operation completed/, `the result was expected, got: ${text}`);
    this.#account.tell(`completed: "${text}"`);
    await session.close();
  }

  async longRunningTool(tasks: TaskEnabledSession, seconds: number): Promise<void> {
    const { seen, text } = await this.#call(tasks, LONG_TOOL, {
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
    this.#account.progress(`working: ${statusMessage}`);
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
    say(this.#line(what), 12);
  }

  /** What the next thing that is told replaces, on a terminal. */
  progress(what: string): void {
    live(this.#line(what));
  }

  #line(what: string): string {
    return `  ${(this.elapsedMs / 1_000).toFixed(2).padStart(6)} s  ${what}`;
  }
}

/** The official client as it comes: it asks for no tasks. */
async function plainClient(url: string): Promise<Client> {
  const client = new Client({ name: "taskgate-demo", version: "1.0.0" });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  return client;
}

function textsOf({ content }: Readonly<Record<string, unknown>>): string[] {
  if (!Array.isArray(content)) return [];
  return content.flatMap(({ text }: { text?: unknown }) => (typeof text === "string" ? [text] : []));
}
