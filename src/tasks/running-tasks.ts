import type { Logger } from "pino";
import { taskFields } from "../log/task-name.ts";
import { storedCallBytes } from "../store/stored-call-cell.ts";
import type { Nudge, StoredCall, TaskId, TaskRecord, TaskStore } from "../store/task-store.ts";
import { Rounds } from "./rounds.ts";
import { RunningTask, type RunningTaskOptions } from "./running-task.ts";
import { keptBeside } from "./storable.ts";
import { sentAt } from "./story.ts";
import type { Observer } from "./task-event.ts";
import { Tries } from "./tries.ts";
import type { Unwritten } from "./unwritten.ts";

export interface RunningTasksOptions {
  readonly store: TaskStore;
  readonly log: Logger;
  readonly clock: () => number;
  readonly unwritten: Unwritten;
  readonly report: Observer;
  /** The store took bytes, and keeps them for as long as the result unless `keptForMs` says otherwise. */
  readonly onStored?: (task: TaskRecord, bytes: number, keptForMs?: number) => void;
}

/** How it stands with a task whose call is in this process. */
export interface RunningState {
  readonly server: string;
  readonly state: "queued" | "working" | "input_required";
  /** When its call was sent; of one that is queued, when the task was made. Milliseconds since the epoch. */
  readonly sentAt: number;
}

const STOPPED =
  "The gateway was stopped before the server had answered; whether the work was done is not known";

/** The tasks whose calls run in this process: passes on what others write about each, and leaves none without an end or a successor. */
export class RunningTasks {
  readonly #options: RunningTasksOptions;
  readonly #byId = new Map<TaskId, RunningTask>();
  readonly #tries = new Tries();
  readonly #rounds = new Rounds({
    all: () => this.#byId.values(),
    visit: (runningTask) => this.#look(runningTask),
  });

  constructor(options: RunningTasksOptions) {
    this.#options = options;
  }

  /** How many tasks have a call here that runs or waits for its turn. */
  get size(): number {
    return this.#byId.size;
  }

  /** Each task's server and state, as they are now. */
  *states(): Iterable<RunningState> {
    for (const { record, story, call } of this.#byId.values()) {
      const waits = call.state === "queued" ? "queued" : "working";
      const state = call.isAsking ? "input_required" : waits;
      yield { server: record.route, state, sentAt: sentAt({ createdAt: record.createdAt, story }) };
    }
  }

  has(id: TaskId): boolean {
    return this.#byId.has(id);
  }

  get(id: TaskId): RunningTask | undefined {
    return this.#byId.get(id);
  }

  take(
    task: Pick<RunningTaskOptions, "call" | "record" | "storedCall" | "isCallKept" | "maxResultBytes">,
  ): RunningTask {
    const { onStored } = this.#options;
    // The store keeps a stored call for that long.
    const onCallStored = (record: TaskRecord, storedCall: StoredCall) =>
      onStored?.(record, storedCallBytes(storedCall), 2 * (record.terms.maxRuntimeMs + record.terms.ttlMs));
    const runningTask = new RunningTask({
      onCallStored,
      tries: this.#tries,
      ...this.#options,
      ...task,
    });
    const { record, storedCall } = task;
    if (task.isCallKept && storedCall !== undefined) onCallStored(record, keptBeside(record, storedCall));
    const { id } = runningTask.record;
    this.#byId.set(id, runningTask);
    // The stored call stays in memory until the outcome is written, which may be long after the call has ended.
    const letGo = runningTask.call.share();
    void runningTask.ended.finally(() => {
      this.#byId.delete(id);
      runningTask.call.forgetResult();
      letGo();
    });
    return runningTask;
  }

  /** Acts on a hint that the store has something new. */
  hear(nudge: Nudge): void {
    switch (nudge.kind) {
      case "answered":
      case "ended":
        void this.#look(this.#byId.get(nudge.id));
        break;
      case "missed":
        if (nudge.isRoutine) this.#rounds.begin();
        else this.#rounds.hurry();
        break;
      case "changed":
      case "left":
      case "granted":
      case "told":
        break;
    }
  }

  /** Resolves when all tasks of this moment have ended. */
  async settled(): Promise<void> {
    await Promise.all([...this.#byId.values()].map(({ ended }) => ended));
  }

  /** Hands off every task that another replica can continue; the others end as lost. */
  async close(): Promise<void> {
    const rested = this.#rounds.close();
    const all = [...this.#byId.values()];
    await Promise.all(all.map((each) => this.#letGo(each)));
    await Promise.all(all.map(({ ended }) => ended));
    await rested;
  }

  async #letGo(runningTask: RunningTask): Promise<void> {
    const { store, log } = this.#options;
    try {
      if (store.isLasting && (await runningTask.leave())) return;
      if (runningTask.call.end === undefined) await runningTask.lose(STOPPED);
    } catch (err) {
      log.error({ err, ...taskFields(runningTask.record) }, "could not write the end of a task");
    } finally {
      // A call that was handed off has ended already.
      runningTask.call.cancel("the gateway is stopping");
      runningTask.abandon();
    }
  }

  async #look(runningTask: RunningTask | undefined): Promise<void> {
    // What this read misses, the next one finds.
    await runningTask?.look().catch(() => {});
  }
}
