import type { Logger } from "pino";
import type { Call } from "../calls/call.ts";
import { checkAnswer } from "../calls/input.ts";
import { rpc } from "../protocol/errors.ts";
import type { JsonObject } from "../protocol/jsonrpc.ts";
import {
  type InputAnswer,
  type InputRequest,
  isOwnedBy,
  type Outcome,
  type PageRequest,
  type TaskId,
  type TaskOwner,
  type TaskPage,
  type TaskRecord,
  type TaskStore,
  type TaskView,
} from "../store/task-store.ts";
import { timeOf } from "../store/time.ts";
import { counting, type TaskQuotas } from "./counted.ts";
import { Creations, onlyUnavailable } from "./creations.ts";
import type { CallTask } from "./new-task.ts";
import { Orphans, type Revive } from "./orphans.ts";
import { isSame } from "./outcome.ts";
import { TaskReader } from "./reading.ts";
import { type RunningState, RunningTasks } from "./running-tasks.ts";
import { StoreWait, type WaiterOf } from "./store-wait.ts";
import { type Canceller, type Observer, observers } from "./task-event.ts";
import { Unwritten } from "./unwritten.ts";

export type { CallTask };

export interface TaskEngineOptions {
  readonly store: TaskStore;
  readonly log: Logger;
  /** Milliseconds since the epoch; absent: the store's clock. */
  readonly clock?: () => number;
  /** Makes the call of a task whose gateway has died. Absent: the engine revives no call. */
  readonly revive?: Revive;
  /** As `limits.maxUnwritten`. */
  readonly maxUnwrittenBytes?: number;
  /** As `limits.maxWait`. Absent: no request waits for the store. */
  readonly maxWaitMs?: number;
  /** Absent: nobody hears of what happens. */
  readonly report?: Observer;
  /** Counts stored bytes and the tasks that this replica takes over. Absent: nothing counts them. */
  readonly quotas?: TaskQuotas;
}

const MAX_UNWRITTEN_BYTES = 268_435_456;

/** Creates tasks, gives each to its owner only, and knows the calls of this process behind them. */
export class TaskEngine {
  /** For what the engine cannot see of a task's clients: what the gateway tells them, and what it refuses them. */
  readonly report: Observer;
  readonly #store: TaskStore;
  readonly #clock: () => number;
  readonly #running: RunningTasks;
  readonly #orphans: Orphans;
  readonly #creations: Creations;
  readonly #watchers = new Map<TaskId, Set<() => void>>();
  readonly #storeWait: StoreWait;
  readonly #reader: TaskReader;
  readonly #unwritten: Unwritten;
  readonly #stopWatching: () => void;

  constructor(options: TaskEngineOptions) {
    const {
      store,
      log,
      clock = timeOf(store),
      revive = () => undefined,
      report = observers([]),
      quotas,
    } = options;
    this.report = report;
    const { maxUnwrittenBytes: maxBytes = MAX_UNWRITTEN_BYTES, maxWaitMs = 0 } = options;
    this.#storeWait = new StoreWait({ maxWaitMs });
    this.#store = store;
    this.#clock = clock;
    const counted = counting(quotas);
    this.#unwritten = new Unwritten({ maxBytes, onWaiting: counted.onWaiting });
    this.#running = new RunningTasks({
      store,
      log,
      clock,
      report,
      onStored: counted.onStored,
      unwritten: this.#unwritten,
    });
    this.#creations = new Creations({
      store,
      log,
      clock,
      report,
      running: this.#running,
      storeWait: this.#storeWait,
    });
    const isExpected = (id: TaskId) => this.#creations.has(id);
    this.#orphans = new Orphans({
      store,
      log,
      clock,
      revive,
      report,
      counted,
      isExpected,
      running: this.#running,
    });
    this.#reader = new TaskReader({
      store,
      running: this.#running,
      orphans: this.#orphans,
      storeWait: this.#storeWait,
      reads: quotas?.reads,
    });
    this.#stopWatching = store.watch((nudge) => {
      this.#running.hear(nudge);
      if ("id" in nudge) for (const changed of this.#watchers.get(nudge.id) ?? []) changed();
      else void this.#orphans.sweep();
      if (nudge.kind === "missed")
        for (const changed of [...this.#watchers.values()].flatMap((all) => [...all])) changed();
    });
  }

  /** Takes over or ends the tasks that other replicas left behind before this process began. Never rejects. */
  begin(): Promise<void> {
    return this.#orphans.sweep();
  }

  now(): number {
    return this.#clock();
  }

  /** Whether others are told of tasks that their clients know. */
  get tellsOthers(): boolean {
    return this.#store.outbox.isUsed || this.#store.subscriptions.isUsed;
  }

  /** Whether tasks outlive this process. */
  get isLasting(): boolean {
    return this.#store.isLasting;
  }

  /**
   * Makes a call a task, the same one for all who ask. When this resolves, the record is durable and the client may get the
   * handle.
   * @param waiter who waits while the store is away, here and below; absent: nobody does
   * @throws StoreUnavailable; a started call goes on, and one that was not started must not start
   */
  createTask(call: Call, task: CallTask, maxResultBytes: number, waiter?: WaiterOf): Promise<TaskRecord> {
    return this.#creations.create(call, { task, maxResultBytes, waiter });
  }

  /**
   * A task of this owner.
   * @throws -32602 when there is none: unknown, expired and another caller's look the same (Tasks §Protocol Errors)
   */
  async get(id: TaskId, owner: TaskOwner, waiter?: WaiterOf): Promise<TaskView> {
    const view = await this.seek(id, owner, waiter);
    if (view === undefined) throw rpc.unknownTask();
    return view;
  }

  /** As `get`, with `undefined` for none. */
  async seek(id: TaskId, owner: TaskOwner, waiter?: WaiterOf): Promise<TaskView | undefined> {
    return this.#ofOwner(id, owner, await this.#reader.read(id, owner, waiter));
  }

  /** As `seek`, for the gateway's own use: it reports no refusal. */
  async find(id: TaskId, owner: TaskOwner, waiter?: WaiterOf): Promise<TaskView | undefined> {
    const view = await this.#reader.read(id, owner, waiter);
    return isOf(view, owner) ? view : undefined;
  }

  /**
   * Takes answers to the questions of the task's server. Ignores keys of questions that are not open; the first answer to a key
   * stands.
   * @throws -32602 when there is no such task, or an answer has the wrong shape; none is taken then
   */
  async update(id: TaskId, owner: TaskOwner, responses: JsonObject, waiter?: WaiterOf): Promise<void> {
    const view = this.#ofOwner(id, owner, await this.#reader.readStored(id, owner, waiter));
    if (view === undefined) throw rpc.unknownTask();
    const { task, outcome } = view;
    if (outcome !== undefined) return;
    const taken = Object.entries(responses).flatMap(([key, response]) => {
      const asked = this.#asked(task, key);
      return asked === undefined
        ? []
        : [[key, { result: checkAnswer(key, asked.method, response) }] as const];
    });
    await this.#take(task, taken, waiter);
  }

  /**
   * Takes one answer as it is: a legacy client's response, which may be an error and whose shape is up to the server. Ignores it
   * when there is no such task or question, or when the question has an answer already.
   */
  async respond(
    id: TaskId,
    owner: TaskOwner,
    key: string,
    answer: InputAnswer,
    waiter?: WaiterOf,
  ): Promise<void> {
    const view = this.#ofOwner(id, owner, await this.#reader.readStored(id, owner, waiter));
    if (view === undefined || view.outcome !== undefined) return;
    if (this.#asked(view.task, key) !== undefined) await this.#take(view.task, [[key, answer]], waiter);
  }

  /**
   * Cancels a task that has not ended; one that has ended stays as it is. Resolves with the task as it now is, and whether this
   * ended it (Tasks §Task Cancellation).
   * @throws -32602 when there is no such task
   */
  async cancel(
    id: TaskId,
    owner: TaskOwner,
    waiter?: WaiterOf,
    by: Canceller = "client",
  ): Promise<{ view: TaskView; hasEnded: boolean }> {
    const view = await this.get(id, owner, waiter);
    if (view.outcome !== undefined) return { view, hasEnded: false };
    const reason = `Cancelled by the ${by}`;
    const mine: Outcome = { kind: "cancelled", endedAt: this.#clock(), reason };
    const runningTask = this.#running.get(id);
    // What is still to be written of its story is known here alone.
    const story = runningTask?.story ?? [];
    const task = story.length === 0 ? view.task : { ...view.task, story };
    const outcome = await this.#storeWait.through(waiter, () => this.#store.end(task, mine));
    runningTask?.cancel(outcome);
    if (isSame(outcome, mine)) {
      this.report({ kind: "cancelled", task, by });
      this.report({ kind: "ended", task, outcome });
    }
    return { view: { task, outcome }, hasEnded: outcome.kind === "cancelled" };
  }

  /** A page of the owner's tasks, oldest first; `undefined` when the cursor is not ours. */
  async list(owner: TaskOwner, request: PageRequest, waiter?: WaiterOf): Promise<TaskPage | undefined> {
    const page = await this.#storeWait.through(waiter, () => this.#store.list(owner, request));
    if (page === undefined) return undefined;
    const tasks: TaskView[] = [];
    for (const view of page.tasks)
      tasks.push(await this.#storeWait.through(waiter, () => this.#orphans.lookAfter(view)));
    this.report({ kind: "listed", owner, ids: tasks.map(({ task }) => task.id) });
    return { ...page, tasks };
  }

  /** Calls `changed` whenever the task may have changed. Returns a function that stops it. */
  watch(id: TaskId, changed: () => void): () => void {
    const watchers = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, watchers.add(changed));
    return () => {
      watchers.delete(changed);
      if (watchers.size === 0 && this.#watchers.get(id) === watchers) this.#watchers.delete(id);
    };
  }

  /** Whether the task exists, whoever owns it. @throws StoreUnavailable */
  async exists(id: TaskId, waiter?: WaiterOf): Promise<boolean> {
    return (await this.#storeWait.through(waiter, () => this.#store.read(id))) !== undefined;
  }

  /** The task's call, if it runs in this process. */
  callOf(id: TaskId): Call | undefined {
    return this.#running.get(id)?.call;
  }

  /** Resolves when the task's call, if it runs in this process, has ended and the store has its outcome, or gives it up. */
  async ended(id: TaskId): Promise<void> {
    await this.#running.get(id)?.ended;
  }

  /** Resolves once every replica can read the call's current questions. @throws StoreUnavailable */
  async publish(id: TaskId): Promise<void> {
    await this.#running.get(id)?.write();
  }

  /** Records that the client knows the task, and so needs no other way back to it. @throws StoreUnavailable */
  async tell(task: TaskRecord, waiter?: WaiterOf): Promise<void> {
    await this.#storeWait.through(waiter, () => this.#store.tell(task));
  }

  isTold(id: TaskId, waiter?: WaiterOf): Promise<boolean> {
    return this.#storeWait.through(waiter, () => this.#store.isTold(id));
  }

  /** How many tasks have calls in this process. */
  get running(): number {
    return this.#running.size;
  }

  /** The server and the state of each task whose call is in this process. */
  states(): Iterable<RunningState> {
    return this.#running.states();
  }

  /** How many bytes of finished results the store has not accepted yet. */
  get unwrittenBytes(): number {
    return this.#unwritten.bytes;
  }

  /** Resolves when all tasks of this moment have ended. */
  settled(): Promise<void> {
    return this.#running.settled();
  }

  /** Takes over no more tasks: what other replicas leave from now on is for those that stay. */
  takeOverNoMore(): void {
    this.#orphans.rest();
  }

  /**
   * Creates no more tasks, hands off the calls that another replica can continue, and ends the tasks of the other running calls
   * as lost.
   */
  async close(): Promise<void> {
    this.#creations.close();
    this.#storeWait.close();
    await this.#orphans.close();
    await this.#creations.closed();
    await this.#running.close();
    this.#stopWatching();
    this.#watchers.clear();
  }

  /** The task if it is this owner's; a refusal is reported. */
  #ofOwner(id: TaskId, owner: TaskOwner, view: TaskView | undefined): TaskView | undefined {
    if (isOf(view, owner)) return view;
    const reason = view === undefined ? "unknown task" : "foreign task";
    this.report({ kind: "refused", ...owner, task: id, reason });
    return undefined;
  }

  /**
   * The question that is open under this key. The call in this process may ask what the record does not show yet, because the write was
   * not heard; and the record may still show what the call does not ask any more, because a cluster made an older write late. An answer
   * to what either shows has to stand: a client that was told that it was taken must not see the question again.
   */
  #asked({ id, inputRequests }: TaskRecord, key: string): InputRequest | undefined {
    const asked = { ...inputRequests, ...this.#running.get(id)?.call.inputRequests };
    return Object.hasOwn(asked, key) ? asked[key] : undefined;
  }

  async #take(
    task: TaskRecord,
    given: readonly (readonly [string, InputAnswer])[],
    waiter?: WaiterOf,
  ): Promise<void> {
    for (const [key, answer] of given)
      await this.#storeWait.through(waiter, () => this.#store.answer(task, key, answer));
    if (given.length > 0) this.report({ kind: "answered", task, answers: given.length });
    // Of two answers that came at the same time, the stored one counts. The store has it by now, and the call reads it from there.
    await this.#running.get(task.id)?.look().catch(onlyUnavailable);
  }
}

function isOf(view: TaskView | undefined, owner: TaskOwner): view is TaskView {
  return view !== undefined && isOwnedBy(view.task, owner);
}
