import type { Logger } from "pino";
import { rpc } from "../protocol/errors.ts";
import type { JsonObject } from "../protocol/jsonrpc.ts";
import {
  type InputAnswer,
  type NewTask,
  type Outcome,
  type PageRequest,
  StoreUnavailable,
  type TaskId,
  type TaskPage,
  type TaskRecord,
  type TaskStore,
  type TaskView,
} from "../stores/task-store.ts";
import type { Call } from "./call.ts";
import { checkAnswer } from "./input.ts";
import { LiveTask, progressMessage } from "./live.ts";

/** Who asks for a task, and where. */
export interface Claimant {
  readonly route: string;
  readonly caller: string;
}

/** What is known of a task apart from what its call says. */
export type CallTask = Omit<NewTask, "statusMessage" | "inputRequests">;

export interface TaskEngineOptions {
  readonly store: TaskStore;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly clock?: () => number;
}

/** Tasks: what they are, who may have them, and the calls of this process behind them. */
export class TaskEngine {
  readonly #store: TaskStore;
  readonly #log: Logger;
  readonly #clock: () => number;
  readonly #live = new Map<TaskId, LiveTask>();
  readonly #adoptions = new WeakMap<Call, Promise<TaskRecord>>();
  readonly #watchers = new Map<TaskId, Set<() => void>>();
  readonly #stopWatching: () => void;
  #isClosed = false;

  constructor({ store, log, clock = Date.now }: TaskEngineOptions) {
    this.#store = store;
    this.#log = log;
    this.#clock = clock;
    this.#stopWatching = store.watch((nudge) => {
      if (!("id" in nudge)) return;
      for (const changed of this.#watchers.get(nudge.id) ?? []) changed();
    });
  }

  now(): number {
    return this.#clock();
  }

  /**
   * Makes a task of a call, one and the same for all who ask. When this resolves, the task is durable and can be told to
   * the client.
   * @throws StoreUnavailable; the call goes on
   */
  adopt(call: Call, task: CallTask, maxResultBytes: number): Promise<TaskRecord> {
    const present = this.#adoptions.get(call);
    if (present !== undefined) return present;
    const adoption = this.#adopt(call, task, maxResultBytes);
    this.#adoptions.set(call, adoption);
    adoption.catch(() => this.#adoptions.delete(call));
    return adoption;
  }

  /**
   * A task of the claimant's.
   * @throws -32602 when there is none: unknown, expired and another's look the same (Tasks §Protocol Errors)
   */
  async get(id: TaskId, claimant: Claimant): Promise<TaskView> {
    const view = await this.find(id, claimant);
    if (view === undefined) throw rpc.unknownTask();
    return view;
  }

  /** As `get`, with `undefined` for none. */
  async find(id: TaskId, { route, caller }: Claimant): Promise<TaskView | undefined> {
    const view = await this.#store.read(id);
    if (view === undefined || view.task.route !== route || view.task.caller !== caller) return undefined;
    return this.#withEnding(view);
  }

  /**
   * Takes answers to what the task's server asked. Keys that are not asked are ignored; the first answer to a key stands.
   * @throws -32602 when there is no such task, or an answer has the wrong shape: then none was taken
   */
  async update(id: TaskId, claimant: Claimant, responses: JsonObject): Promise<void> {
    const { task, outcome } = await this.get(id, claimant);
    if (outcome !== undefined) return;
    const taken = Object.entries(responses).flatMap(([key, response]) => {
      const asked = Object.hasOwn(task.inputRequests, key) ? task.inputRequests[key] : undefined;
      return asked === undefined
        ? []
        : [[key, { result: checkAnswer(key, asked.method, response) }] as const];
    });
    await this.#take(task, taken);
  }

  /**
   * Takes one answer as it is: a legacy client's response, which may be an error and whose shape is the server's affair. An
   * answer to what is not asked is ignored, whether there is no such task, no such question, or an answer already.
   */
  async respond(id: TaskId, claimant: Claimant, key: string, answer: InputAnswer): Promise<void> {
    const view = await this.find(id, claimant);
    if (view === undefined || view.outcome !== undefined) return;
    if (Object.hasOwn(view.task.inputRequests, key)) await this.#take(view.task, [[key, answer]]);
  }

  /**
   * Cancels a task that has not ended; one that has stays as it is. Resolves with the task as it now stands, and whether
   * this was what ended it (Tasks §Task Cancellation).
   * @throws -32602 when there is no such task
   */
  async cancel(id: TaskId, claimant: Claimant): Promise<{ view: TaskView; hasEnded: boolean }> {
    const view = await this.get(id, claimant);
    if (view.outcome !== undefined) return { view, hasEnded: false };
    const reason = "Cancelled by the client";
    const mine: Outcome = { kind: "cancelled", endedAt: this.#clock(), reason };
    const outcome = await this.#store.end(view.task, mine);
    this.#live.get(id)?.call.cancel(reason);
    return { view: { task: view.task, outcome }, hasEnded: outcome.kind === "cancelled" };
  }

  /** A page of the claimant's tasks, oldest first; `undefined` when the cursor is none of ours. */
  async list(claimant: Claimant, request: PageRequest): Promise<TaskPage | undefined> {
    const page = await this.#store.list(claimant, request);
    if (page === undefined) return undefined;
    const tasks: TaskView[] = [];
    for (const view of page.tasks) tasks.push(await this.#withEnding(view));
    return { ...page, tasks };
  }

  /** Calls back whenever the task may have changed. Returns how to stop. */
  watch(id: TaskId, changed: () => void): () => void {
    const watchers = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, watchers.add(changed));
    return () => {
      watchers.delete(changed);
      if (watchers.size === 0 && this.#watchers.get(id) === watchers) this.#watchers.delete(id);
    };
  }

  /** Resolves when every task that there is now has ended. */
  async settled(): Promise<void> {
    await Promise.all([...this.#live.values()].map((live) => live.ended));
  }

  /** Lets go: the calls that still run are lost, their tasks say so, and there are no new ones. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const reason =
      "The gateway was stopped before the server had answered; whether the work was done is not known";
    const left = [...this.#live.values()];
    await Promise.all(
      left.map(async (live) => {
        const lost: Outcome = { kind: "lost", endedAt: this.#clock(), reason };
        await this.#store
          .end(live.record, lost)
          .catch((err) => this.#log.error({ err }, "a lost task was not written down"));
        live.call.cancel("the gateway is stopping");
        live.abandon();
      }),
    );
    await Promise.all(left.map((live) => live.ended));
    this.#stopWatching();
    this.#watchers.clear();
  }

  async #take(task: TaskRecord, given: readonly (readonly [string, InputAnswer])[]): Promise<void> {
    for (const [key, answer] of given) await this.#store.answer(task, key, answer);
    const live = this.#live.get(task.id);
    if (live === undefined) return;
    // What stands counts, should two answers have come at the same time. All that is still open is looked up: an earlier
    // answer may have been kept while the store failed to say so.
    const standing = await this.#store.answers(task.id, Object.keys(live.call.inputRequests));
    if (standing.size > 0) await live.answer(standing);
  }

  async #adopt(call: Call, task: CallTask, maxResultBytes: number): Promise<TaskRecord> {
    if (this.#isClosed) throw new StoreUnavailable("the gateway is stopping");
    const begun = call.progress === undefined ? "running" : progressMessage(call.progress);
    const statusMessage = call.state === "queued" ? "queued" : begun;
    const record = await this.#store.create({ ...task, statusMessage, inputRequests: call.inputRequests });
    const live = new LiveTask({
      call,
      record,
      store: this.#store,
      maxResultBytes,
      log: this.#log,
      clock: this.#clock,
    });
    this.#live.set(record.id, live);
    void live.ended.finally(() => this.#live.delete(record.id));
    return record;
  }

  /** Ends a task whose owner has died: nobody is going to (design: law 5). */
  async #withEnding(view: TaskView): Promise<TaskView> {
    const { task, outcome } = view;
    if (outcome !== undefined || (await this.#store.isAlive(task.owner))) return view;
    const reason =
      "The gateway that ran the call stopped before the server had answered; whether the work was done is not known";
    return { task, outcome: await this.#store.end(task, { kind: "lost", endedAt: this.#clock(), reason }) };
  }
}
