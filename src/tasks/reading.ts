import { SMALL_BYTES } from "../limits/bytes.ts";
import type { ResultReads } from "../limits/result-reads.ts";
import {
  isOwnedBy,
  StoreUnavailable,
  type TaskId,
  type TaskOwner,
  type TaskRecord,
  type TaskStore,
  type TaskView,
} from "../store/task-store.ts";
import type { Orphans } from "./orphans.ts";
import type { RunningTask } from "./running-task.ts";
import type { RunningTasks } from "./running-tasks.ts";
import type { StoreWait, WaiterOf } from "./store-wait.ts";

export interface TaskReaderOptions {
  readonly store: TaskStore;
  readonly running: RunningTasks;
  readonly orphans: Orphans;
  readonly storeWait: StoreWait;
  /** Absent: as many results are read at a time as are asked for. */
  readonly reads?: ResultReads | undefined;
}

/** Reads tasks on behalf of their callers. */
export class TaskReader {
  readonly #options: TaskReaderOptions;

  constructor(options: TaskReaderOptions) {
    this.#options = options;
  }

  /**
   * A task, after this replica has taken it over or ended it if its gateway has died. It may belong to another caller;
   * `undefined`: there is none. While the store is away, a task that runs here comes from memory: at once if no other replica can
   * have taken it over, and otherwise before the gateway refuses its client, because a client that was refused once does not come
   * back.
   * @param waiter who waits while the store is away; absent: nobody does
   * @throws StoreUnavailable
   */
  async read(id: TaskId, owner: TaskOwner, waiter?: WaiterOf): Promise<TaskView | undefined> {
    const { store, storeWait } = this.#options;
    try {
      return await storeWait.through(waiter, () =>
        this.#inTurn(id, owner, waiter).catch((error: unknown) => {
          // A call that has ended here is as good as stored: a listening client must not hear that it works again.
          const isRunning = this.#options.running.get(id)?.call.end === undefined;
          const known = isRunning && store.holdsLease ? this.#known(id, owner, error) : undefined;
          if (known === undefined) throw error;
          return known;
        }),
      );
    } catch (error) {
      const known = waiter && this.#known(id, owner, error);
      if (known === undefined) throw error;
      return known;
    }
  }

  /**
   * As `read`, and never from memory: for whoever must not miss what others have written, such as a question of the gateway that has taken
   * the task over.
   * @throws StoreUnavailable
   */
  readStored(id: TaskId, owner: TaskOwner, waiter?: WaiterOf): Promise<TaskView | undefined> {
    return this.#options.storeWait.through(waiter, () => this.#inTurn(id, owner, waiter));
  }

  /** Keeps its turn until there is room for what was read. */
  #inTurn(id: TaskId, owner: TaskOwner, waiter?: WaiterOf): Promise<TaskView | undefined> {
    const { reads } = this.#options;
    if (reads === undefined) return this.#read(id, owner);
    return reads.run(async () => {
      const view = await this.#read(id, owner);
      const length = view?.outcome?.kind === "completed" ? view.outcome.result.length : 0;
      if (length <= SMALL_BYTES) return view;
      reads.note(length);
      const room = waiter?.().room;
      await room?.arrive(length);
      room?.arrived();
      return view;
    });
  }

  async #read(id: TaskId, owner: TaskOwner): Promise<TaskView | undefined> {
    const { store, orphans } = this.#options;
    const view = await store.read(id, owner);
    if (view === undefined) return this.#forgotten(id, owner);
    return view !== undefined && isOwnedBy(view.task, owner) ? orphans.lookAfter(view) : view;
  }

  /** A task that runs here exists, even if the store has lost it; `look` writes it again. */
  #forgotten(id: TaskId, owner: TaskOwner): TaskView | undefined {
    const runningTask = this.#options.running.get(id);
    if (runningTask === undefined || !isOwnedBy(runningTask.record, owner)) return undefined;
    void runningTask.look().catch(() => {});
    return { task: lastWritten(runningTask) };
  }

  /** What this process knows of a task whose call runs here, when the store does not answer. */
  #known(id: TaskId, owner: TaskOwner, error: unknown): TaskView | undefined {
    const runningTask = error instanceof StoreUnavailable ? this.#options.running.get(id) : undefined;
    return runningTask !== undefined && isOwnedBy(runningTask.record, owner)
      ? { task: lastWritten(runningTask) }
      : undefined;
  }
}

/** The task as last written, without questions that have been answered or withdrawn since. */
function lastWritten({ record, call }: RunningTask): TaskRecord {
  const open = Object.entries(record.inputRequests).filter(([key]) => Object.hasOwn(call.inputRequests, key));
  return { ...record, inputRequests: Object.fromEntries(open) };
}
