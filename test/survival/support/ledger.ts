import { toJson } from "../../../src/protocol/jsonrpc.ts";
import { Conditions } from "../../support/conditions.ts";
import type { Json } from "../../support/modern-client.ts";
import type { TaskAnswer, TaskClient } from "./clients.ts";
import { workOf } from "./work.ts";

/** A task whose creation was acknowledged, and what a client has seen of it since. */
export interface Handle {
  readonly taskId: string;
  /** Names the call at the server. */
  readonly id: string;
  readonly tool: Tool;
  readonly size: number;
  /** How many gateways had been killed when it was asked for, and when it was known to have ended. */
  readonly killsBefore: number;
  killsAtEnd: number | undefined;
  /** Whether anybody has tried to cancel it. */
  isCancelled: boolean;
  status: string;
  /** What `tasks/get` answered when it had ended, to the letter: from then on it may never answer anything else. */
  ended: string | undefined;
}

export type Tool = "work" | "read" | "ask";

/** What a call is made with, beside its id. */
export interface Work {
  readonly tool: Tool;
  readonly ms: number;
  readonly size: number;
  /** The stream that a question goes out on; the session's unless given. */
  readonly on?: "call" | "session";
}

/** What a person answers when a call asks for a name. */
export const NAME = "Ada";
const ANSWER = { action: "accept", content: { name: NAME } };
const TERMINAL = ["completed", "failed", "cancelled"];
const CONNECTION_LOST = ["ECONNREFUSED", "ECONNRESET", "EPIPE", "UND_ERR_SOCKET"];
const AT_ONCE = 16;
const LOOK_EVERY_MS = 50;

/**
 * What clients were told, for comparison with what they are told later. Whatever may not happen, whatever is killed meanwhile,
 * becomes a line in `problems`.
 */
export class Ledger {
  readonly handles: Handle[] = [];
  /** The calls that may or may not have been made, because nobody heard an answer. */
  readonly unheard: string[] = [];
  readonly problems: string[] = [];
  /** Why tasks failed, and how often, in the gateway's words. */
  readonly failures = new Map<string, number>();
  /** How often a client was told to try again, or lost its connection, by reason. */
  readonly retries = new Map<string, number>();
  readonly #forgotten = new Map<string, number>();
  readonly #conditions = new Conditions(() => this.toString());
  readonly #deadlineMs: number;
  #calls = 0;
  #kills = 0;

  /** A request that has no answer within `deadlineMs` is a problem; without it, after ten seconds. */
  constructor({ deadlineMs = 10_000 }: { readonly deadlineMs?: number } = {}) {
    this.#deadlineMs = deadlineMs;
  }

  /** Makes a call with an id of its own. `undefined` when no handle came back. */
  async create(client: TaskClient, { tool, ...terms }: Work): Promise<Handle | undefined> {
    this.#calls += 1;
    const id = `${tool}-${this.#calls}`;
    const killsBefore = this.#kills;
    const result = await this.#ask(client, "tools/call", { name: tool, arguments: { id, ...terms } });
    if (result?.taskId === undefined) {
      this.unheard.push(id);
      return undefined;
    }
    const handle: Handle = {
      taskId: result.taskId,
      id,
      tool,
      size: terms.size,
      killsBefore,
      killsAtEnd: undefined,
      isCancelled: false,
      status: result.status,
      ended: undefined,
    };
    this.handles.push(handle);
    this.#conditions.check();
    return handle;
  }

  /** Asks for a task, and answers what it asks. Gives whether it has ended, as far as one has heard. */
  async tend(client: TaskClient, handle: Handle): Promise<boolean> {
    const { taskId, ended } = handle;
    const task = await this.#ask(client, "tasks/get", { taskId });
    if (task === undefined) return handle.ended !== undefined;
    this.#compare(handle, task, ended !== undefined);
    if (task.status === "input_required") {
      const keys = Object.keys(task.inputRequests ?? {});
      const inputResponses = Object.fromEntries(keys.map((key) => [key, ANSWER]));
      await this.#ask(client, "tasks/update", { taskId, inputResponses });
    }
    return handle.ended !== undefined;
  }

  async cancel(client: TaskClient, handle: Handle): Promise<void> {
    handle.isCancelled = true;
    await this.#ask(client, "tasks/cancel", { taskId: handle.taskId });
  }

  /** Tends tasks, each at one of these clients in turn, until all have ended. Those that have not in time are a problem. */
  async settle(clients: readonly TaskClient[], withinMs: number, handles = this.handles): Promise<void> {
    const deadline = performance.now() + withinMs;
    let open = handles.filter(({ ended }) => ended === undefined);
    for (let turn = 0; open.length > 0 && performance.now() < deadline; turn += 1) {
      await this.#each(clients, open, turn);
      open = open.filter(({ ended }) => ended === undefined);
      if (open.length > 0) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    for (const { id, taskId, status } of open)
      this.problems.push(`${id} (${taskId}) was still ${status} after ${withinMs} ms`);
  }

  /** Asks for every task once more, of each client: the answers have to be the same. */
  async lookAgain(clients: readonly TaskClient[]): Promise<void> {
    for (const client of clients) await this.#each([client], this.handles, 0);
  }

  /** From now on it is only counted. */
  forget(handle: Handle): void {
    this.handles.splice(this.handles.indexOf(handle), 1);
    const ending = endingOf(handle);
    count(this.#forgotten, ending);
  }

  /** To be said after each: calls may have been repeated because of it. */
  killed(): void {
    this.#kills += 1;
  }

  /** How many gateways were killed while a call may have been under way. */
  killsDuring(id: string): number {
    const { killsBefore = 0, killsAtEnd = this.#kills } = this.handles.find((each) => each.id === id) ?? {};
    return killsAtEnd - killsBefore;
  }

  /** How many tasks have ended how, those that have not under `open`. */
  get endings(): Readonly<Record<string, number>> {
    const counts = Object.fromEntries(this.#forgotten);
    for (const handle of this.handles) {
      const ending = endingOf(handle);
      counts[ending] = (counts[ending] ?? 0) + 1;
    }
    return counts;
  }

  /** Settles when so many handles have been told. */
  async acknowledged(count: number): Promise<void> {
    await this.#conditions.found(() => this.handles.length >= count || undefined, `${count} handles`);
  }

  toString(): string {
    const { unheard, endings, failures, problems, retries } = this;
    return toJson({
      unheard: unheard.length,
      endings,
      failures: Object.fromEntries(failures),
      retries: Object.fromEntries(retries),
      problems: problems.length,
    });
  }

  async #each(clients: readonly TaskClient[], handles: readonly Handle[], turn: number): Promise<void> {
    const left = [...handles.entries()];
    const worker = async () => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        const [index, handle] = next;
        await this.tend(clients[(index + turn) % clients.length] as TaskClient, handle);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }

  /** The `result`; `undefined` when it is worth trying again. Anything else is a problem. */
  async #ask(client: TaskClient, method: string, params: Json): Promise<Json> {
    let answer: TaskAnswer;
    try {
      const signal = AbortSignal.timeout(this.#deadlineMs);
      answer = await client.send(method, params, { id: 1, signal });
    } catch (error) {
      const { name, code, cause } = error as { name?: string; code?: string; cause?: { code?: string } };
      const lost = [code, cause?.code].find((each) => each !== undefined && CONNECTION_LOST.includes(each));
      if (lost !== undefined) this.#retry(lost);
      else if (name === "TimeoutError") this.problems.push(`${method}: no answer in ${this.#deadlineMs} ms`);
      else this.problems.push(`${method}: ${error}`);
      return undefined;
    }
    const { status, message, text } = answer;
    if (message?.result !== undefined) return message.result;
    if (message?.error?.code === -32603 && message.error.data?.retryable === true)
      this.#retry(message.error.message);
    else this.problems.push(`${method} ${toJson(params)}: HTTP ${status} ${text.slice(0, 500)}`);
    return undefined;
  }

  #retry(why: string): void {
    count(this.retries, why);
  }

  /** `hadEnded`: before it was asked for. What several clients ask at the same time may be answered in any order. */
  #compare(handle: Handle, { _meta: _ofServer, ...task }: Json, hadEnded: boolean): void {
    const now = toJson(task);
    const hasEnded = TERMINAL.includes(task.status);
    if (handle.ended !== undefined) {
      if (!hadEnded && !hasEnded) return;
      if (now !== handle.ended)
        this.problems.push(
          `${handle.id} has changed from ${handle.ended.slice(0, 300)} to ${now.slice(0, 300)}`,
        );
      return;
    }
    handle.status = task.status;
    if (!hasEnded) return;
    handle.ended = now;
    handle.killsAtEnd = this.#kills;
    if (task.status === "completed") this.#checkResult(handle, task.result?.content?.[0]?.text);
    if (task.status === "failed") count(this.failures, task.statusMessage);
    if (task.status === "cancelled" && !handle.isCancelled)
      this.problems.push(`${handle.id} was cancelled by nobody`);
  }

  #checkResult({ id, tool, size }: Handle, text: unknown): void {
    const expected = tool === "ask" ? `${id} accept ${NAME}` : workOf(id, size);
    if (text !== expected) this.problems.push(`${id} has a wrong result: ${String(text).slice(0, 300)}`);
  }
}

function endingOf({ ended, status }: Handle): string {
  return ended === undefined ? "open" : status;
}

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}
