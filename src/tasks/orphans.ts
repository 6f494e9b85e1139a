import type { Logger } from "pino";
import { type Audit, taskName } from "../ops/audit.ts";
import { seldom } from "../ops/seldom.ts";
import type { HeldBytes, SharedBytes } from "../quotas/bytes.ts";
import {
  type CallRecipe,
  MAX_TURNS,
  type Outcome,
  type ReplicaId,
  StoreUnavailable,
  type TaskId,
  type TaskRecord,
  type TaskStore,
  type TaskView,
} from "../stores/task-store.ts";
import type { Call } from "./call.ts";
import type { Counting } from "./counted.ts";
import type { Custody } from "./custody.ts";
import { isSame } from "./outcome.ts";

/** A call that goes on where its gateway had to leave it. It has not been started. */
export interface Revived {
  readonly call: Call;
  readonly maxResultBytes: number;
}

/**
 * Makes the call of a task whose gateway has died, to be sent, picked up or sent again as the record and the recipe allow.
 * `undefined`: nothing can be done about it; `"elsewhere"`: not by this gateway, or not now. `held`: the memory that the recipe takes.
 */
export type Revive = (
  task: TaskRecord,
  recipe: CallRecipe | undefined,
  held?: SharedBytes,
) => Revived | "elsewhere" | undefined;

export interface OrphansOptions {
  readonly store: TaskStore;
  readonly custody: Custody;
  readonly revive: Revive;
  readonly log: Logger;
  readonly clock: () => number;
  readonly audit?: Audit | undefined;
  /** Whether this process knows what becomes of a task though its call does not run here: it is being created, or was refused. */
  readonly isExpected?: (id: TaskId) => boolean;
  /** Absent: nothing is counted. */
  readonly counted?: Pick<Counting, "onAdopted" | "hasRoom" | "hold"> | undefined;
}

/** More than these one after the other are not the tasks' fault. */
const MAX_FAILURES = 10;
const GONE: Partial<TaskView> = {};

const NO_ROOM =
  "there is no memory to take over a call that waits (limits.total.bytes, limits.perCaller.bytes); it is looked at again later";

const LOST =
  "The gateway that ran the call stopped before the server had answered, or before its answer was stored; whether the work was done is not known";

/**
 * Tasks whose owner has died. Whoever sees one goes on with its call, if there is a way to; else it ends, saying that what
 * became of the work is not known (a call that may have run is never sent again).
 */
export class Orphans {
  readonly #options: OrphansOptions;
  /** Whoever asks for a task that is being adopted gets the same answer. */
  readonly #adoptions = new Map<TaskId, Promise<TaskView>>();
  #sweeping: Promise<void> | undefined;
  /** How many tasks one after the other could not be looked after in this sweep. */
  #failures = 0;
  /** What this sweep did. */
  #takenOver = 0;
  #lost = 0;
  #isResting = false;
  #isClosed = false;

  constructor(options: OrphansOptions) {
    this.#options = options;
  }

  /** The task as it is after something was done about it, if need be. @throws StoreUnavailable */
  async lookAfter(view: TaskView): Promise<TaskView> {
    if (view.outcome !== undefined || this.#isResting || !(await this.#isOrphan(view.task))) return view;
    const { id } = view.task;
    const present = this.#adoptions.get(id);
    if (present !== undefined) return present;
    const adoption = this.#adopt(view).finally(() => this.#adoptions.delete(id));
    this.#adoptions.set(id, adoption);
    return adoption;
  }

  /** Looks after what nobody asks for. One sweep at a time; never rejects. */
  sweep(): Promise<void> {
    if (this.#isResting) return Promise.resolve();
    if (this.#sweeping === undefined) {
      this.#failures = 0;
      this.#takenOver = 0;
      this.#lost = 0;
    }
    this.#sweeping ??= this.#options.store
      .orphans((id, owner) => this.#visit(id, owner))
      .catch((err) => {
        // The next one finds the rest.
        if (!this.#isResting)
          this.#options.log.debug(
            { err },
            "could not look for unfinished tasks of other gateways; the next sweep tries again",
          );
      })
      .finally(() => {
        this.#sayWhatWasDone();
        this.#sweeping = undefined;
      });
    return this.#sweeping;
  }

  #sayWhatWasDone(): void {
    const [takenOver, lost] = [this.#takenOver, this.#lost];
    if (takenOver + lost === 0) return;
    this.#options.log.info(
      { takenOver, lost },
      `unfinished tasks of a gateway that stopped: ${takenOver} taken over, ${lost} lost`,
    );
  }

  /** Begins nothing any more: a call that is taken over now would only have to be left again, or be lost. */
  rest(): void {
    this.#isResting = true;
  }

  async close(): Promise<void> {
    this.rest();
    this.#isClosed = true;
    await this.#sweeping;
    await Promise.allSettled(this.#adoptions.values());
  }

  /** Also what is this replica's own, but of which it knows nothing: it may not have heard that it had adopted it. */
  async #isOrphan({ id, owner }: TaskRecord): Promise<boolean> {
    const { store, custody, isExpected = () => false } = this.#options;
    if (custody.has(id) || isExpected(id)) return false;
    return owner === store.me || !(await store.isAlive(owner));
  }

  /** Whether the task is no longer the affair of the owner that has died. */
  async #visit(id: TaskId, owner: ReplicaId): Promise<boolean> {
    if (this.#isResting) throw new StoreUnavailable("the gateway is stopping");
    try {
      const view = await this.#options.store.read(id);
      const { outcome, task } = view === undefined ? GONE : await this.lookAfter(view);
      this.#failures = 0;
      return outcome !== undefined || task?.owner !== owner;
    } catch (err) {
      // One that cannot be read keeps nobody from the others; a store that is away does.
      this.#failures += 1;
      if (this.#failures >= MAX_FAILURES) throw err;
      seldom(this.#options.log).say(
        "warn",
        { err, task: taskName(id) },
        "could not take over an unfinished task; the next sweep tries again",
      );
      return false;
    }
  }

  async #adopt(seen: TaskView): Promise<TaskView> {
    const { store, counted, log } = this.#options;
    const { id } = seen.task;
    // It may have ended, or have been adopted, since it was seen.
    const view = (await store.read(id)) ?? seen;
    const { task, outcome } = view;
    if (outcome !== undefined || !(await this.#isOrphan(task))) return view;
    // Of a store full of calls that wait no more is read than there is room for. The others are looked at again with the next sweep.
    const hasRoom = !task.isUnsent || counted?.hasRoom(task) !== false;
    const recipe = hasRoom ? await store.recipe(id) : undefined;
    const held = hasRoom ? counted?.hold(task, recipe) : "full";
    if (held === "full") {
      seldom(log).say("warn", { task: taskName(id) }, NO_ROOM);
      return view;
    }
    return this.#goOn(view, recipe, held).finally(() => held?.release());
  }

  async #goOn(
    view: TaskView,
    recipe: CallRecipe | undefined,
    held: HeldBytes | undefined,
  ): Promise<TaskView> {
    const { store, custody, revive, log, audit } = this.#options;
    const { task } = view;
    const { id } = task;
    const revived = revive(task, recipe, held);
    if (revived === "elsewhere") return view;
    if (revived === undefined || (task.turn ?? 0) >= MAX_TURNS) return this.#lose(task);
    const record = await store.adopt(task, task.isUnsent);
    const now = (await store.read(id)) ?? view;
    // Somebody else was first, or its owner was able to end it after all.
    if (record === undefined || now.outcome !== undefined || this.#isClosed) return now;
    log.info({ task: taskName(id), tool: task.tool }, "took over a task whose gateway has stopped");
    this.#takenOver += 1;
    audit?.adopted(record);
    const { call, maxResultBytes } = revived;
    const isRecipeKept = recipe !== undefined;
    const live = custody.take({ call, record, recipe, isRecipeKept, maxResultBytes });
    void live.ended.finally(this.#options.counted?.onAdopted(record));
    call.start();
    // What was answered meanwhile.
    await live
      .look()
      .catch((err) =>
        log.warn({ err, task: taskName(id) }, "could not read the answers to a task's questions"),
      );
    return { task: record };
  }

  async #lose(task: TaskRecord): Promise<TaskView> {
    const { store, clock, audit, log } = this.#options;
    const lost: Outcome = { kind: "lost", endedAt: clock(), reason: LOST };
    const outcome = await store.end(task, lost);
    if (!isSame(outcome, lost)) return { task, outcome };
    this.#lost += 1;
    log.warn({ task: taskName(task.id), tool: task.tool }, `the task failed. ${LOST}`);
    audit?.ended(task, outcome.kind);
    return { task, outcome };
  }
}
