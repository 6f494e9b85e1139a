import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import type { Call } from "../calls/call.ts";
import { rpc } from "../protocol/errors.ts";
import {
  type StoredCall,
  StoreUnavailable,
  type TaskId,
  type TaskRecord,
  type TaskStore,
  type TaskView,
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

/** The task that a creation has led to. */
interface Created {
  readonly record: TaskRecord;
  /** Absent: another call with the same idempotency key is the task's. */
  readonly runningTask?: RunningTask;
}

/** Makes calls into tasks: one task per call for all who ask, and durable before any client hears of it. */
export class Creations {
  readonly #options: CreationsOptions;
  readonly #created = new WeakMap<Call, Promise<TaskRecord>>();
  readonly #drafts = new WeakMap<Call, TaskDraft>();
  /** Tasks whose records are being written. */
  readonly #running = new Map<TaskId, Promise<Created>>();
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
    const { task } = creation;
    // Another request with the same idempotency key may be creating the task. If its client gives up, this one tries.
    for (let other = this.#creationOf(task); other !== undefined; other = this.#creationOf(task)) {
      const created = await other.catch(onlyAbandoned);
      if (created !== undefined) return sameCall(created.record, task);
    }
    if (this.#isClosed) throw new StoreUnavailable("the gateway is stopping");
    const storedCall = this.#keepable(call.storedCall);
    const draft = this.#drafts.get(call) ?? this.#draft(call, task, storedCall);
    this.#drafts.set(call, draft);
    const creating = this.#create(call, creation, { storedCall, draft }).finally(() =>
      this.#running.delete(draft.id),
    );
    this.#running.set(draft.id, creating);
    const { record, runningTask } = await creating;
    if (runningTask === undefined) return sameCall(record, task);
    // With this write another replica can send the call. If the store does not accept it now, the task exists all the same.
    if (call.isWaiting && !draft.isUnsent && storedCall?.params !== undefined)
      await runningTask.write().catch(onlyUnavailable);
    return runningTask.record;
  }

  /** The creation of the same task that is in progress for another call. */
  #creationOf({ id }: CallTask): Promise<Created> | undefined {
    return id === undefined ? undefined : this.#running.get(id);
  }

  async #create(
    call: Call,
    { task: given, maxResultBytes, waiter }: Creation,
    { storedCall, draft }: { readonly storedCall: StoredCall | undefined; readonly draft: TaskDraft },
  ): Promise<Created> {
    const { store, storeWait, running, report, clock } = this.#options;
    const { isSealed } = store;
    const { id, isUnsent, idempotency } = draft;
    let isKept = false;
    const write = async () => {
      isKept = isUnsent || isCallKept(call, storedCall);
      const task = asNewTask(call, given, storedCall, { ...draft, isSealed, now: clock() });
      return idempotency === undefined ? { task: await store.create(task, id) } : store.createOnce(task, id);
    };
    const view = await storeWait.through(waiter, write).catch((error) => {
      this.#withdraw(call, draft);
      throw error;
    });
    if (view === undefined) throw rpc.keyExpired();
    const { task: record } = view;
    if (!isFrom(draft, view)) return { record };
    const handleMs = performance.now() - call.madeAt;
    report({ kind: "created", task: record, isHeld: record.rounds !== undefined, handleMs });
    const runningTask = running.take({ call, record, maxResultBytes, isCallKept: isKept, storedCall });
    return { record, runningTask };
  }

  /** Ends the task, if the store has it: its client does not hear of it, and its record may say that others can send the call. */
  #withdraw(call: Call, { id, isUnsent, idempotency }: TaskDraft): void {
    // A keyed creation that is not remembered may leave a task that looks as if it ran here: its client hears that it was lost.
    if (!isUnsent && (idempotency === undefined || this.#withdrawals.isFull)) return;
    this.#drafts.delete(call);
    this.#withdrawals.add(id, idempotency);
  }

  #draft(
    call: Call,
    { id, fingerprint }: Pick<CallTask, "id" | "fingerprint">,
    storedCall: StoredCall | undefined,
  ): TaskDraft {
    // A creation that is withdrawn is tried again under another id, unless its client has the key to it.
    const isFree = (id === undefined || fingerprint !== undefined) && !this.#withdrawals.isFull;
    const isUnsent = isFree && call.isToWait && storedCall?.params !== undefined;
    if (id === undefined || fingerprint === undefined)
      return { id: id ?? this.#options.store.newId(), isUnsent };
    const refused = this.#withdrawals.takeBack(id, fingerprint);
    return { id, isUnsent, idempotency: refused ?? { fingerprint, creation: randomUUID() } };
  }

  /** Nobody may read credentials in the store, and nobody else needs the stored call when the store ends with this process. */
  #keepable(storedCall: StoredCall | undefined): StoredCall | undefined {
    const { store } = this.#options;
    if (storedCall === undefined || !store.isLasting) return undefined;
    return store.isSealed || Object.keys(storedCall.headers).length === 0 ? storedCall : undefined;
  }
}

/** Whether the task is the one of this draft, and nobody else has gone on with it. */
function isFrom({ idempotency }: TaskDraft, { task, outcome }: TaskView): boolean {
  if (idempotency === undefined) return true;
  const isUntouched = outcome === undefined && task.turn === undefined;
  return isUntouched && task.idempotency?.creation === idempotency.creation;
}

/** The task, if it is the same call's. @throws HTTP 422 when the key was used for another */
function sameCall(record: TaskRecord, { fingerprint }: CallTask): TaskRecord {
  if (record.idempotency?.fingerprint !== fingerprint) throw rpc.keyReused();
  return record;
}

/** Ignores that a client gave up or the gateway stops, which says nothing of the store; throws every other error again. */
function onlyAbandoned(error: unknown): void {
  if (error instanceof StoreUnavailable) throw error;
}

/** Ignores a store that is away, since a later try will succeed; throws every other error again. */
export function onlyUnavailable(error: unknown): void {
  if (!(error instanceof StoreUnavailable)) throw error;
}
