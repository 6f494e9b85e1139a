import type { Logger } from "pino";
import type { Call } from "../calls/call.ts";
import {
  type StoredCall,
  StoreUnavailable,
  type TaskId,
  type TaskRecord,
  type TaskStore,
} from "../store/task-store.ts";
import { asNewTask, type CallTask, isCallKept, type TaskDraft } from "./new-task.ts";
import type { RunningTask } from "./running-task.ts";
import type { RunningTasks } from "./running-tasks.ts";
import type { StoreWait, WaiterOf } from "./store-wait.ts";
import type { Observer } from "./task-event.ts";
import { Withdrawals } from "./withdrawals.ts";

export interface CreationsOptions {
  readonly store: TaskStore;
  readonly running: RunningTasks;
  readonly storeWait: StoreWait;
  readonly log: Logger;
  readonly clock: () => number;
  readonly report: Observer;
}

export interface Creation {
  readonly task: CallTask;
  readonly maxResultBytes: number;
  readonly waiter: WaiterOf | undefined;
}

/** Makes calls into tasks: one task per call for all who ask, and durable before any client hears of it. */
export class Creations {
  readonly #options: CreationsOptions;
  readonly #created = new WeakMap<Call, Promise<TaskRecord>>();
  readonly #drafts = new WeakMap<Call, TaskDraft>();
  /** Tasks whose records are being written. */
  readonly #running = new Map<TaskId, Promise<RunningTask>>();
  readonly #withdrawals: Withdrawals;
  #isClosed = false;

  constructor(options: CreationsOptions) {
    this.#options = options;
    this.#withdrawals = new Withdrawals(options);
  }

  /** As `TaskEngine.createTask`. */
  create(call: Call, creation: Creation): Promise<TaskRecord> {
    const present = this.#created.get(call);
    if (present !== undefined) return present;
    const created = this.#createOnce(call, creation);
    this.#created.set(call, created);
    created.catch(() => this.#created.delete(call));
    return created;
  }

  /** Whether this process is creating the task, or has refused it: the task is then no orphan, though its call does not run here. */
  has(id: TaskId): boolean {
    return this.#running.has(id) || this.#withdrawals.has(id);
  }

  /** Creates no more tasks. */
  close(): void {
    this.#isClosed = true;
  }

  /** Resolves, after `close`, when no creation is in progress and, if the store answers, the refused tasks have ended. */
  async closed(): Promise<void> {
    await Promise.allSettled(this.#running.values());
    await this.#withdrawals.close();
  }

  async #createOnce(call: Call, creation: Creation): Promise<TaskRecord> {
    if (this.#isClosed) throw new StoreUnavailable("the gateway is stopping");
    const storedCall = this.#keepable(call.storedCall);
    const draft = this.#drafts.get(call) ?? this.#draft(call, creation.task.id, storedCall);
    this.#drafts.set(call, draft);
    const running = this.#create(call, creation, { storedCall, draft });
    this.#running.set(draft.id, running);
    const runningTask = await running.finally(() => this.#running.delete(draft.id));
    // With this write another replica can send the call. If the store does not accept it now, the task exists all the same.
    if (call.isWaiting && !draft.isUnsent && storedCall?.params !== undefined)
      await runningTask.write().catch(onlyUnavailable);
    return runningTask.record;
  }

  async #create(
    call: Call,
    { task, maxResultBytes, waiter }: Creation,
    {
      storedCall,
      draft: { id, isUnsent },
    }: { readonly storedCall: StoredCall | undefined; readonly draft: TaskDraft },
  ): Promise<RunningTask> {
    const { store, storeWait, running, report } = this.#options;
    const { isSealed } = store;
    let isKept = false;
    try {
      const record = await storeWait.through(waiter, () => {
        isKept = isUnsent || isCallKept(call, storedCall);
        return store.create(asNewTask(call, task, storedCall, { isUnsent, isSealed }), id);
      });
      const handleMs = performance.now() - call.madeAt;
      report({ kind: "created", task: record, isHeld: record.rounds !== undefined, handleMs });
      return running.take({ call, record, maxResultBytes, isCallKept: isKept, storedCall });
    } catch (error) {
      if (isUnsent) {
        this.#drafts.delete(call);
        this.#withdrawals.add(id);
      }
      throw error;
    }
  }

  #draft(call: Call, given: TaskId | undefined, storedCall: StoredCall | undefined): TaskDraft {
    // A creation that is withdrawn is tried again under another id.
    const isFree = given === undefined && !this.#withdrawals.isFull;
    const isUnsent = isFree && call.isToWait && storedCall?.params !== undefined;
    return { id: given ?? this.#options.store.newId(), isUnsent };
  }

  /** Nobody may read credentials in the store, and nobody else needs the stored call when the store ends with this process. */
  #keepable(storedCall: StoredCall | undefined): StoredCall | undefined {
    const { store } = this.#options;
    if (storedCall === undefined || !store.isLasting) return undefined;
    return store.isSealed || Object.keys(storedCall.headers).length === 0 ? storedCall : undefined;
  }
}

/** Ignores a store that is away, since a later try will succeed; throws every other error again. */
export function onlyUnavailable(error: unknown): void {
  if (!(error instanceof StoreUnavailable)) throw error;
}
