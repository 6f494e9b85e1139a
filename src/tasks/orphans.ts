import type { Logger } from "pino";
import type { Call } from "../calls/call.ts";
import { Recent } from "../lib/recent.ts";
import type { HeldBytes, SharedBytes } from "../limits/bytes.ts";
import { taskFields, taskName } from "../log/task-name.ts";
import { throttled } from "../log/throttled.ts";
import {
  MAX_TURNS,
  type Outcome,
  type ReplicaId,
  type StoredCall,
  StoreUnavailable,
  type TaskId,
  type TaskRecord,
  type TaskStore,
  type TaskView,
  UnreadableValue,
} from "../store/task-store.ts";
import type { Counting } from "./counted.ts";
import { isSame } from "./outcome.ts";
import type { RunningTasks } from "./running-tasks.ts";
import type { Observer } from "./task-event.ts";

/** A call that continues after its gateway has stopped. It has not been started. */
export interface Revived {
  readonly call: Call;
  readonly maxResultBytes: number;
}

/**
 * Makes the call of a task whose gateway has died: to be sent, resumed or sent again, as the record and the stored call allow.
 * `undefined`: no replica can continue it; `"elsewhere"`: not this gateway, or not now. `held`: counts the memory of the stored call.
 */
export type Revive = (
  task: TaskRecord,
  storedCall: StoredCall | undefined,
  held?: SharedBytes,
) => Revived | "elsewhere" | undefined;

export interface OrphansOptions {
  readonly store: TaskStore;
  readonly running: RunningTasks;
  readonly revive: Revive;
  readonly log: Logger;
  readonly clock: () => number;
  readonly report: Observer;
  /** Whether this process is creating or has refused the task: it is then no orphan, though its call does not run here. */
  readonly isExpected?: (id: TaskId) => boolean;
  /** Absent: nothing is counted. */
  readonly counted?: Pick<Counting, "onAdopted" | "hasRoom" | "hold"> | undefined;
}

/** More failures than these in a row are not the tasks' fault. */
const MAX_FAILURES = 10;
/** After how long tasks are looked at again that could not be looked after. */
const MIN_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;
const MAX_DAMAGED = 1_000;
const GONE: Partial<TaskView> = {};

const NO_ROOM =
  "there is no memory to take over a call that waits (limits.total.bytes, limits.perCaller.bytes); it is looked at again later";

const LOST =
  "The gateway that ran the call stopped before the server had answered, or before its answer was stored; whether the work was done is not known";

/**
 * Tasks whose owner has died. The first replica that sees one continues its call, if it can; else it ends the task as lost, since
 * nobody knows whether the work was done (a call that may have run is never sent again).
 */
export class Orphans {
  readonly #options: OrphansOptions;
  /** All who ask for a task during its takeover get the same answer. */
  readonly #takeovers = new Map<TaskId, Promise<TaskView>>();
  /** Tasks of which a sweep has said that their values are damaged. */
  readonly #damaged = new Recent<TaskId, true>(MAX_DAMAGED);
  #sweeping: Promise<void> | undefined;
  /** How many tasks in a row this sweep failed to take over or end. */
  #failures = 0;
  /** Figures of this sweep. */
  #takenOver = 0;
  #lost = 0;
  /** Whether there are tasks that this sweep has left as they were, and after how long the next one looks at them. */
  #isUnfinished = false;
  #retryMs = MIN_RETRY_MS;
  #retry: NodeJS.Timeout | undefined;
  #isResting = false;
  #isClosed = false;

  constructor(options: OrphansOptions) {
    this.#options = options;
  }

  /** The task as it is after this replica has taken it over or ended it, if it was an orphan. @throws StoreUnavailable */
  async lookAfter(view: TaskView): Promise<TaskView> {
    if (view.outcome !== undefined || this.#isResting || !(await this.#isOrphan(view.task))) return view;
    const { id } = view.task;
    const present = this.#takeovers.get(id);
    if (present !== undefined) return present;
    const takeover = this.#takeOver(view).finally(() => this.#takeovers.delete(id));
    this.#takeovers.set(id, takeover);
    return takeover;
  }

  /** Takes over or ends the orphans that no client asks for. One sweep at a time; never rejects. */
  sweep(): Promise<void> {
    if (this.#isResting) return Promise.resolve();
    if (this.#sweeping === undefined) {
      this.#failures = 0;
      this.#takenOver = 0;
      this.#lost = 0;
      this.#isUnfinished = false;
    }
    this.#sweeping ??= this.#options.store
      .orphans((id, owner) => this.#visit(id, owner))
      .catch((err) => {
        // The next sweep finds the rest.
        this.#isUnfinished = true;
        if (!this.#isResting)
          this.#options.log.debug(
            { err },
            "could not look for unfinished tasks of other gateways; the next sweep tries again",
          );
      })
      .finally(() => {
        this.#sayWhatWasDone();
        this.#sweeping = undefined;
        this.#sweepAgain();
      });
    return this.#sweeping;
  }

  /** A store of one process gives no hint that there is something to look at. */
  #sweepAgain(): void {
    clearTimeout(this.#retry);
    if (!this.#isUnfinished) this.#retryMs = MIN_RETRY_MS;
    if (!this.#isUnfinished || this.#isResting) return;
    this.#retry = setTimeout(() => void this.sweep(), this.#retryMs).unref();
    this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
  }

  #sayWhatWasDone(): void {
    const [takenOver, lost] = [this.#takenOver, this.#lost];
    if (takenOver + lost === 0) return;
    this.#options.log.info(
      { takenOver, lost },
      `${takenOver === 1 ? "1 task" : `${takenOver} tasks`} taken over, ${lost} lost: their gateway had stopped`,
    );
  }

  /** Takes over no more tasks: the gateway would have to hand off the call again at once, or lose it. */
  rest(): void {
    this.#isResting = true;
    clearTimeout(this.#retry);
  }

  async close(): Promise<void> {
    this.rest();
    this.#isClosed = true;
    await this.#sweeping;
    await Promise.allSettled(this.#takeovers.values());
  }

  /** Also true for tasks recorded as ours that do not run here: our takeover may have succeeded though its reply was lost. */
  async #isOrphan({ id, owner, isGivenUp }: TaskRecord): Promise<boolean> {
    const { store, running, isExpected = () => false } = this.#options;
    if (running.has(id) || isExpected(id)) return false;
    return isGivenUp || owner === store.me || !(await store.isAlive(owner));
  }

  /** Resolves with whether the task no longer belongs to the owner that has died. */
  async #visit(id: TaskId, owner: ReplicaId): Promise<boolean> {
    if (this.#isResting) throw new StoreUnavailable("the gateway is stopping");
    try {
      const view = await this.#options.store.read(id);
      const { outcome, task } = view === undefined ? GONE : await this.lookAfter(view);
      this.#failures = 0;
      const isDone = outcome !== undefined || task?.owner !== owner;
      this.#isUnfinished ||= !isDone;
      return isDone;
    } catch (err) {
      // Its value reads the same the next time: it keeps neither this sweep from the others nor the next one busy.
      if (err instanceof UnreadableValue) return this.#leaveDamaged(id, err);
      this.#isUnfinished = true;
      // A single unreadable task does not keep the sweep from the others; a store that is away does.
      this.#failures += 1;
      if (this.#failures >= MAX_FAILURES) throw err;
      throttled(this.#options.log).say(
        "warn",
        { err, task: taskName(id) },
        "could not take over an unfinished task; the next sweep tries again",
      );
      return false;
    }
  }

  /** Leaves a task whose value is damaged where it is, and says so once. */
  #leaveDamaged(id: TaskId, err: UnreadableValue): false {
    if (this.#damaged.get(id) === undefined)
      this.#options.log.warn(
        { err, task: taskName(id) },
        "an unfinished task cannot be taken over: its stored value cannot be read",
      );
    this.#damaged.set(id, true);
    return false;
  }

  async #takeOver(seen: TaskView): Promise<TaskView> {
    const { store, counted, log } = this.#options;
    const { id } = seen.task;
    // It may have ended, or another replica may have taken it over, since it was seen.
    const view = (await store.read(id)) ?? seen;
    const { task, outcome } = view;
    if (outcome !== undefined || !(await this.#isOrphan(task))) return view;
    // From a store full of waiting calls, read no more than there is room for. The next sweep looks at the others again.
    const isIdle = task.isUnsent || task.pause !== undefined;
    const hasRoom = !isIdle || counted?.hasRoom(task) !== false;
    const storedCall = hasRoom ? await store.storedCall(id) : undefined;
    const held = hasRoom ? counted?.hold(task, storedCall) : "full";
    if (held === "full") {
      throttled(log).say("warn", taskFields(task), NO_ROOM);
      return view;
    }
    return this.#goOn(view, storedCall, held).finally(() => held?.release());
  }

  async #goOn(
    view: TaskView,
    storedCall: StoredCall | undefined,
    held: HeldBytes | undefined,
  ): Promise<TaskView> {
    const { store, running, revive, log, report } = this.#options;
    const { task } = view;
    const { id } = task;
    const revived = task.isGivenUp ? undefined : revive(task, storedCall, held);
    if (revived === "elsewhere") return view;
    if (revived === undefined || (task.turn ?? 0) >= MAX_TURNS) return this.#lose(view);
    const record = await store.takeOver(task, task.isUnsent || task.pause !== undefined);
    const now = (await store.read(id)) ?? view;
    // Another replica was first, or the owner ended it after all.
    if (record === undefined || now.outcome !== undefined || this.#isClosed) return now;
    this.#takenOver += 1;
    report({ kind: "adopted", task: record });
    const { call, maxResultBytes } = revived;
    const isCallKept = storedCall !== undefined;
    const runningTask = running.take({ call, record, storedCall, isCallKept, maxResultBytes });
    void runningTask.ended.finally(this.#options.counted?.onAdopted(record));
    call.start();
    // Clients may have answered in the meantime.
    await runningTask
      .look()
      .catch((err) =>
        log.warn({ err, ...taskFields(task) }, "could not read the answers to a task's questions"),
      );
    return { task: record };
  }

  async #lose(view: TaskView): Promise<TaskView> {
    const { store, clock, report } = this.#options;
    // Its owner may have saved a checkpoint since it was read, with which a quicker replica picked the call up.
    const task = await store.giveUp(view.task);
    if (task === undefined) return (await store.read(view.task.id)) ?? view;
    const lost: Outcome = { kind: "lost", endedAt: clock(), reason: LOST };
    const outcome = await store.end(task, lost);
    if (!isSame(outcome, lost)) return { task, outcome };
    this.#lost += 1;
    report({ kind: "ended", task, outcome });
    return { task, outcome };
  }
}
