import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { type Audit, taskName } from "../ops/audit.ts";
import { seldom } from "../ops/seldom.ts";
import { toJson } from "../protocol/jsonrpc.ts";
import {
  type CallRecipe,
  type Change,
  type Outcome,
  StoreUnavailable,
  type TaskRecord,
  type TaskStore,
} from "../stores/task-store.ts";
import type { Call, CallEnd } from "./call.ts";
import { isSame, isTooLong, noRoom, sizeOf, toOutcome, tooLong } from "./outcome.ts";
import { progressMessage } from "./state.ts";
import { asSent, storable } from "./storable.ts";
import type { Unwritten } from "./unwritten.ts";

export interface LiveTaskOptions {
  readonly call: Call;
  readonly record: TaskRecord;
  /** What somebody else would need to make the call; undefined when that must not be kept. */
  readonly recipe: CallRecipe | undefined;
  /** Whether the store has it already; else it is written once it is of use. */
  readonly isRecipeKept: boolean;
  readonly store: TaskStore;
  /** Room for outcomes that the store has not taken yet. */
  readonly unwritten: Unwritten;
  readonly maxResultBytes: number;
  readonly log: Logger;
  readonly clock: () => number;
  readonly audit?: Audit | undefined;
  /** Called with an outcome that is stored now, and how many bytes it has. */
  readonly onStored?: ((task: TaskRecord, bytes: number) => void) | undefined;
  readonly onRecipeStored?: ((task: TaskRecord, recipe: CallRecipe) => void) | undefined;
}

/** Progress is told as it comes, but not written more often than this. */
const PROGRESS_WRITE_MS = 500;
/** A call that is not sent by then has to wait: for its turn, for a session, or for its server to start. */
const WAITS_AFTER_MS = 100;
/** A store that is back is to have what it missed within a second, which takes some of that itself to be reached again. */
const MIN_RETRY_DELAY_MS = 100;
const MAX_RETRY_DELAY_MS = 400;

/** A task whose call runs in this process: writes down what happens to it, one write at a time, and how it ends. */
export class LiveTask {
  readonly #options: LiveTaskOptions;
  /** Settles when the outcome is durable, or when it is given up. */
  readonly ended: Promise<void>;
  #record: TaskRecord;
  #statusMessage: string | undefined;
  #isRecipeKept: boolean;
  /** Whether the call is about to be sent, or has been: from then on nothing says that it has not. */
  #isClaimed = false;
  #isLost = false;
  /** The ending that was to be written when the gateway let go of the call, whether or not the store took it. */
  #lost: Outcome | undefined;
  /** How the task was ended by somebody else, who has said so. */
  #standing: Outcome | undefined;
  #writtenAt = 0;
  /** The pause before the next try to write a state that the store did not take; 0: it took the last one. */
  #retryDelayMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #looking: Promise<void> = Promise.resolve();
  /** Ends the pause before another try to write. */
  readonly #abandoned = new AbortController();

  constructor(options: LiveTaskOptions) {
    this.#options = options;
    this.#record = options.record;
    this.#statusMessage = options.record.statusMessage;
    const { call, record, recipe } = options;
    this.#isRecipeKept = options.isRecipeKept;
    if (record.isUnsent) call.beforeSend = () => this.claimSending();
    this.ended = new Promise((resolve) => {
      const end = (how: CallEnd) =>
        this.#end(how)
          .catch((err) =>
            options.log.error({ err, task: taskName(record.id) }, "could not write a task's outcome"),
          )
          .finally(resolve);
      if (call.end !== undefined) return void end(call.end);
      call.listen({
        onSent: () => this.#say("running", 0),
        onAccepted: () => {
          // Its wait for a slot has aged the record, which has to last as long as the call may run from now on.
          if (record.checkpoint !== undefined) this.#writeSoon(0);
        },
        onProgress: (progress) => this.#say(progressMessage(progress), PROGRESS_WRITE_MS),
        onQuestions: () => this.#writeSoon(0),
        // Until somebody else could pick the call up there is nothing to save; from then on it is saved now and then.
        onCheckpoint: () => {
          if (recipe !== undefined)
            this.#writeWithin(this.#record.checkpoint === undefined ? 0 : PROGRESS_WRITE_MS);
        },
        onEnd: (how) => void end(how),
      });
      // The call went on while the record was being written.
      const said = call.progress && progressMessage(call.progress);
      if (said !== undefined && said !== this.#statusMessage) this.#say(said, 0);
      else if (call.state === "sent" && this.#statusMessage === "queued") this.#say("running", 0);
      if (toJson(call.inputRequests) !== toJson(record.inputRequests)) this.#writeSoon(0);
      if (recipe === undefined) return;
      if (call.checkpoint !== undefined && record.checkpoint === undefined) this.#writeSoon(0);
      if (call.state === "queued") this.#writeSoon(WAITS_AFTER_MS);
    });
  }

  get record(): TaskRecord {
    return this.#record;
  }

  get call(): Call {
    return this.#options.call;
  }

  /**
   * Looks at what others have written: an ending, answers, or that the task is theirs now.
   * @throws StoreUnavailable
   */
  look(): Promise<void> {
    const turn = this.#looking.then(() => this.#look());
    this.#looking = turn.catch(() => {});
    return turn;
  }

  /**
   * Writes the state as it is when its turn comes. What the store does not take is tried again until it is written or the call has
   * ended, whatever becomes of this promise.
   * @throws StoreUnavailable
   */
  async write(): Promise<void> {
    try {
      await this.#write();
      this.#retryDelayMs = 0;
    } catch (error) {
      this.#retryDelayMs = nextDelayMs(this.#retryDelayMs);
      if (error instanceof StoreUnavailable) this.#writeSoon(this.#retryDelayMs);
      throw error;
    }
  }

  #write(): Promise<void> {
    return this.#inTurn(async () => {
      const { call, store } = this.#options;
      if (call.end !== undefined) return;
      const change: Change = {
        inputRequests: call.inputRequests,
        ...(this.#statusMessage === undefined ? {} : { statusMessage: this.#statusMessage }),
        ...this.#unsent(),
        ...this.#resumption(),
      };
      this.#record = await store.update(this.#record, change);
      this.#isRecipeKept ||= change.recipe !== undefined;
      if (change.recipe !== undefined) this.#options.onRecipeStored?.(this.#record, change.recipe);
    });
  }

  /** Makes certain that nobody else sends the call; waits for the store if need be. */
  async claimSending(): Promise<void> {
    const { call, store } = this.#options;
    this.#isClaimed = true;
    // One try at a time is in turn: neither the end of the call nor that of the process waits for the store to come back.
    await this.#untilWritten("could not claim a call before sending it; trying again", () =>
      this.#inTurn(async () => {
        if (call.end !== undefined) return;
        const mine = await store.adopt(this.#record);
        if (mine === undefined) call.leave();
        else this.#record = mine;
      }),
    );
    // It may have been cancelled elsewhere, unheard.
    await this.look().catch(() => {});
  }

  /** Lets go of the call if somebody else can go on with it, after writing down where. Says whether that is so; else it goes on. */
  async leave(): Promise<boolean> {
    const { log } = this.#options;
    try {
      await this.look();
      await this.write();
    } catch (err) {
      log.warn(
        { err, task: taskName(this.#record.id) },
        "could not save a checkpoint; another gateway would resume from the one before",
      );
    }
    if (this.call.end !== undefined) return this.call.end.kind === "left";
    const { isUnsent, checkpoint } = this.#record;
    const canGoOn = isUnsent || checkpoint !== undefined || this.#options.recipe?.mayRepeat;
    if (!canGoOn || !this.#isRecipeKept) return false;
    this.call.leave();
    return true;
  }

  /** Ends the task though its call has not ended: what becomes of the work is not known. @throws StoreUnavailable */
  async lose(reason: string): Promise<void> {
    const { store, clock, audit } = this.#options;
    const lost: Outcome = { kind: "lost", endedAt: clock(), reason };
    this.#lost = lost;
    const outcome = await store.end(this.#record, lost);
    this.#isLost = true;
    if (isSame(outcome, lost)) audit?.ended(this.#record, outcome.kind);
  }

  /** Cancels the call of a task that has been ended by somebody else already, in the way that stands. */
  cancel(standing: Outcome): void {
    if (this.call.end === undefined) this.#standing = standing;
    this.call.cancel(standing.kind === "cancelled" ? (standing.reason ?? "cancelled") : "the task has ended");
  }

  /** Gives up on writing an outcome that the store does not take. */
  abandon(): void {
    this.#abandoned.abort();
  }

  /**
   * That the call has not been sent, if that is certain, and what it takes to send it. Said of nothing but a record that is there:
   * of a call whose task may not have been created nobody else may ever think that it is still to be sent.
   */
  #unsent(): Pick<Change, "isUnsent" | "recipe"> {
    const { call, recipe } = this.#options;
    if (this.#isClaimed || this.#record.isUnsent || !call.isWaiting || recipe?.params === undefined)
      return {};
    call.beforeSend = () => this.claimSending();
    return { isUnsent: true, recipe };
  }

  /** Where somebody else could pick the call up, and what it takes, unless that is kept already. */
  #resumption(): Pick<Change, "checkpoint" | "recipe"> {
    const { call, recipe } = this.#options;
    if (recipe === undefined || call.checkpoint === undefined) return {};
    const checkpoint = storable(call.checkpoint, this.#options.store);
    return { checkpoint, ...(this.#isRecipeKept ? {} : { recipe: asSent(recipe) }) };
  }

  /** Whether another gateway has the call by now, because this one was not heard of for too long. @throws StoreUnavailable */
  async #isTaken(): Promise<boolean> {
    const { store } = this.#options;
    const view = await store.read(this.#record.id);
    return view !== undefined && view.outcome === undefined && view.task.owner !== store.me;
  }

  /** The store was emptied, or has lost what was written last: whoever asks for the task is to find it again. */
  #restore(): Promise<void> {
    return this.#inTurn(async () => {
      const { call, store, recipe, log } = this.#options;
      if (call.end !== undefined) return;
      const kept = this.#record.isUnsent || recipe === undefined ? recipe : asSent(recipe);
      await store.restore(this.#record, this.#isRecipeKept ? kept : undefined);
      seldom(log).say(
        "warn",
        { task: taskName(this.#record.id) },
        "the store had lost a running task; wrote it again",
      );
    });
  }

  async #look(): Promise<void> {
    const { call, store, log } = this.#options;
    if (call.end !== undefined) return;
    const view = await store.read(this.#record.id);
    if (view === undefined) {
      // By whatever clock it is over: a task that has ended is not begun anew.
      const ending = await store.ending(this.#record.id);
      return ending === undefined ? this.#restore() : this.cancel(ending);
    }
    const { task, outcome } = view;
    if (outcome !== undefined) {
      this.cancel(outcome);
    } else if (task.owner !== store.me) {
      log.warn(
        { task: taskName(task.id) },
        "another gateway took over a task of this one, which was silent for longer than store.lease",
      );
      call.leave();
    } else {
      // A cluster can take a write late that was given up: then what stands is older than what was written last.
      const isOld = task.updatedAt < this.#record.updatedAt;
      if (isOld || this.#retryDelayMs > 0 || this.#unsent().isUnsent) await this.write();
      // An answer may have been taken while another process had the call, and the server not been told.
      const asked = Object.keys({ ...call.checkpoint?.asked, ...call.inputRequests });
      const answers = await store.answers(task.id, asked);
      if (answers.size === 0) return;
      call.takeAnswers(answers);
      await this.write();
    }
  }

  /** Keeps a message; what comes thick and fast is written at once and then no more often than `everyMs`. */
  #say(message: string, everyMs: number): void {
    this.#statusMessage = message;
    this.#writeWithin(everyMs);
  }

  #writeWithin(everyMs: number): void {
    this.#writeSoon(Math.max(0, this.#writtenAt + everyMs - performance.now()));
  }

  #writeSoon(withinMs: number): void {
    if (this.call.end !== undefined || (withinMs > 0 && this.#timer !== undefined)) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writtenAt = performance.now();
      this.write().catch((err) => {
        const what = "could not write a task's state";
        const isRetried = err instanceof StoreUnavailable;
        const details = { err, task: taskName(this.#record.id) };
        seldom(this.#options.log).say("warn", details, isRetried ? `${what}; trying again` : what);
      });
    }, withinMs);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#writing.then(work);
    this.#writing = turn.catch(() => {});
    return turn;
  }

  async #end(end: CallEnd): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    // Somebody else goes on with it and will say how it ends, or it has an ending already.
    if (end.kind === "left" || this.#isLost) return;
    const { maxResultBytes, clock, store, unwritten } = this.#options;
    // What others have been told stays, also where a failover has forgotten it since. And a call that is only let go of because the
    // gateway stops was cancelled by nobody.
    const known = this.#standing ?? (end.kind === "cancelled" ? this.#lost : undefined);
    let outcome = known ?? toOutcome(end, maxResultBytes, clock());
    let giveBack: (() => void) | undefined;
    const write = async () => {
      try {
        // What went wrong here says nothing of a call that goes on elsewhere.
        if (end.kind === "ours" && store.isLasting && (await this.#isTaken())) return;
        const standing = await store.end(this.#record, outcome);
        // Of an ending that is somebody else's, they have said so.
        if (this.#standing === undefined && isSame(standing, outcome)) this.#stands(outcome);
      } catch (error) {
        giveBack ??= unwritten.keep(sizeOf(outcome), this.#record);
        // What was written once already is worth another try, but no room that others need.
        if (this.#standing !== undefined) {
          if (giveBack === undefined || isTooLong(error)) return;
          throw error;
        }
        if (isTooLong(error)) outcome = tooLong(clock());
        else if (giveBack === undefined) outcome = noRoom(clock());
        else throw error;
        this.call.forgetResult();
        throw error;
      }
    };
    // A finished result must not be lost to a store that is away for a while, and is never taken for a failed tool.
    await this.#untilWritten("could not write a task's outcome; trying again", write)
      // The store may be back just as the gateway stops.
      .catch((error) => (error instanceof StoreUnavailable ? write() : Promise.reject(error)))
      .finally(() => giveBack?.());
  }

  /** What was to be written is what stands. */
  #stands(outcome: Outcome): void {
    const { audit, onStored } = this.#options;
    onStored?.(this.#record, sizeOf(outcome));
    audit?.ended(this.#record, outcome.kind);
  }

  /** Tries again for as long as the store is away, until there is no point any more. */
  async #untilWritten(what: string, write: () => Promise<void>): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#abandoned;
    for (let delay = nextDelayMs(0); !signal.aborted; delay = nextDelayMs(delay)) {
      try {
        return await write();
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        seldom(log).say("error", { err: error, task: taskName(this.#record.id) }, what);
        await sleep(delay, undefined, { signal }).catch(() => {});
      }
    }
    throw new StoreUnavailable("the gateway is stopping");
  }
}

const nextDelayMs = (delayMs: number) =>
  Math.min(Math.max(delayMs * 2, MIN_RETRY_DELAY_MS), MAX_RETRY_DELAY_MS);
