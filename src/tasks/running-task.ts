import type { Logger } from "pino";
import type { Call } from "../calls/call.ts";
import type { CallEnd } from "../calls/call-end.ts";
import { taskFields } from "../log/task-name.ts";
import { throttled } from "../log/throttled.ts";
import { toJson } from "../protocol/jsonrpc.ts";
import {
  type Change,
  isAway,
  MAX_TURNS,
  type Outcome,
  type Pause,
  RUNS,
  type StoredCall,
  StoreUnavailable,
  type StoryLine,
  type TaskRecord,
  type TaskStore,
  UnreadableValue,
  WAITS,
} from "../store/task-store.ts";
import { isSame, isTooLong, noRoom, sizeOf, toOutcome, tooLong } from "./outcome.ts";
import { progressMessage } from "./state.ts";
import { asSent, keptBeside, storable } from "./storable.ts";
import { withLine } from "./story.ts";
import type { Observer } from "./task-event.ts";
import type { Tries } from "./tries.ts";
import type { Unwritten } from "./unwritten.ts";

export interface RunningTaskOptions {
  readonly call: Call;
  readonly record: TaskRecord;
  /** What another replica would need to make the call; undefined when the store must not keep it. */
  readonly storedCall: StoredCall | undefined;
  /** Whether the store has the stored call already; else the task writes it once it is of use. */
  readonly isCallKept: boolean;
  readonly store: TaskStore;
  /** Room for outcomes that the store has not accepted yet. */
  readonly unwritten: Unwritten;
  /** What all tasks of this process try to write. */
  readonly tries: Tries;
  readonly maxResultBytes: number;
  readonly log: Logger;
  readonly clock: () => number;
  readonly report: Observer;
  /** Called with a stored outcome and its size in bytes. */
  readonly onStored?: ((task: TaskRecord, bytes: number) => void) | undefined;
  readonly onCallStored?: ((task: TaskRecord, storedCall: StoredCall) => void) | undefined;
}

/** Clients hear progress as it comes, but the task does not write it more often than this. */
const PROGRESS_WRITE_MS = 500;
/** A record that says what clients need to know lacks at most so long a line of the story. */
const STORY_WRITE_MS = 5_000;
/** Turns that are left for takeovers of a call whose server asks again and again. */
const SPARE_TURNS = 8;
/** The server's state is in the record, which every poll reads. */
const MAX_STATE_LENGTH = 65_536;
/** A call that is not sent by then has to wait: for a slot, for a session, or for its server to start. */
const WAITS_AFTER_MS = 100;
/** A store that is back must get what it missed within a second, and reaching it again takes some of that. */
const MIN_RETRY_DELAY_MS = 100;
const MAX_RETRY_DELAY_MS = 400;

/** A task whose call runs in this process: writes what happens to it, one write at a time, and how it ends. */
export class RunningTask {
  readonly #options: RunningTaskOptions;
  /** Settles when the outcome is durable, or when the task gives it up. */
  readonly ended: Promise<void>;
  #record: TaskRecord;
  #statusMessage: string | undefined;
  #isCallKept: boolean;
  /** Whether the call is about to be sent, or has been: from then on no write may say that it is unsent. */
  #isClaimed = false;
  #isLost = false;
  /** The outcome that `lose` tried to write, whether or not the store accepted it. */
  #lost: Outcome | undefined;
  /** The outcome that ended the task already; its writer has reported it. */
  #standing: Outcome | undefined;
  #writtenAt = 0;
  /** The pause before the next try to write a state that the store did not accept; 0: it accepted the last one. */
  #retryDelayMs = 0;
  #retriesNoMore = () => {};
  #timer: NodeJS.Timeout | undefined;
  /** When `#timer` is due, by `performance.now()`. */
  #dueAt = 0;
  /** Ends when the call has been waiting for so long that others must know. */
  #waiting: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #looking: Promise<void> = Promise.resolve();
  #story: readonly StoryLine[];
  /** The keys of the questions that were open when somebody last looked. */
  #askedKeys: readonly string[];
  /** Ends the pause before another try to write. */
  readonly #abandoned = new AbortController();

  constructor(options: RunningTaskOptions) {
    this.#options = options;
    this.#record = options.record;
    this.#statusMessage = options.record.statusMessage;
    const { call, record, storedCall } = options;
    this.#isCallKept = options.isCallKept;
    const isAdopted = options.record.turn !== undefined;
    this.#story = options.record.story ?? [];
    if (isAdopted) this.#note("adopted");
    this.#askedKeys = isAdopted ? Object.keys(options.record.inputRequests) : [];
    if (record.isUnsent) call.beforeSend = () => this.claimSending();
    if (record.pause !== undefined) call.beforeRound = () => this.claimSending();
    this.ended = new Promise((resolve) => {
      const end = (how: CallEnd) =>
        this.#end(how)
          .catch((err) =>
            options.log.error({ err, ...taskFields(record) }, "could not write a task's outcome"),
          )
          .finally(resolve);
      if (call.end !== undefined) return void end(call.end);
      call.listen({
        onSent: () => {
          clearTimeout(this.#waiting);
          this.#note("sent");
          this.#reportSent();
          this.#statusMessage = RUNS;
          this.#writeSoon(this.#record.statusMessage === RUNS ? STORY_WRITE_MS : 0);
        },
        onAccepted: () => {
          // While the call waited for a slot its record aged, and it must last for as long as the call may run from now on.
          if (record.checkpoint !== undefined) this.#writeSoon(0);
        },
        onProgress: (progress) => {
          options.report({ kind: "progress", task: this.#record, progress });
          this.#say(progressMessage(progress), PROGRESS_WRITE_MS);
        },
        onQuestions: () => {
          this.#reportAsked();
          this.#writeSoon(0);
        },
        // Before the first checkpoint there is nothing to save; after it, saving now and then is enough.
        onCheckpoint: () => {
          if (storedCall !== undefined)
            this.#writeWithin(this.#record.checkpoint === undefined ? 0 : PROGRESS_WRITE_MS);
        },
        onEnd: (how) => void end(how),
      });
      this.#reportSent();
      this.#reportAsked();
      // The call went on while the store was writing the record.
      const said = call.progress && progressMessage(call.progress);
      if (said !== undefined && said !== this.#statusMessage) this.#say(said, 0);
      else if (call.state === "sent" && this.#statusMessage === WAITS) this.#say(RUNS, 0);
      if (toJson(call.inputRequests) !== toJson(record.inputRequests)) this.#writeSoon(0);
      const isNews = storedCall !== undefined || record.statusMessage !== WAITS;
      if (call.state === "queued" && isNews) this.#sayWhenWaiting();
      if (storedCall === undefined) return;
      if (call.checkpoint !== undefined && record.checkpoint === undefined) this.#writeSoon(0);
      if (call.pause !== undefined && record.pause === undefined) this.#writeSoon(0);
    });
  }

  get record(): TaskRecord {
    return this.#record;
  }

  get story(): readonly StoryLine[] {
    return this.#story;
  }

  get call(): Call {
    return this.#options.call;
  }

  /**
   * Reads what others have written: an outcome, answers, or another owner.
   * @throws StoreUnavailable
   */
  look(): Promise<void> {
    const turn = this.#looking.then(() => this.#look());
    this.#looking = turn.catch(() => {});
    return turn;
  }

  /**
   * Writes the state that the task has when its turn to write comes. Tries a write that the store did not accept again, whatever
   * becomes of this promise, until it succeeds or the call ends.
   * @throws StoreUnavailable
   */
  async write(): Promise<void> {
    try {
      await this.#write();
      this.#retryDelayMs = 0;
      this.#retriesNoMore();
    } catch (error) {
      this.#retryDelayMs = nextDelayMs(this.#retryDelayMs);
      if (isAway(error)) {
        const { tries } = this.#options;
        this.#retriesNoMore();
        this.#retriesNoMore = tries.retrying();
        this.#writeSoon(tries.spread(this.#retryDelayMs));
      }
      throw error;
    }
  }

  #write(): Promise<void> {
    return this.#inTurn(async () => {
      const { call, store } = this.#options;
      if (call.end !== undefined) return;
      const statusMessage = call.isWaiting ? WAITS : this.#statusMessage;
      const change: Change = {
        inputRequests: call.inputRequests,
        ...(statusMessage === undefined ? {} : { statusMessage }),
        ...this.#unsent(),
        ...this.#paused(),
        ...this.#resumption(),
        ...(this.#story.length === 0 ? {} : { story: this.#story }),
      };
      this.#record = await store.update(this.#record, change);
      const wasKept = this.#isCallKept;
      this.#isCallKept ||= change.storedCall !== undefined;
      if (change.storedCall !== undefined && !wasKept)
        this.#options.onCallStored?.(this.#record, change.storedCall);
    });
  }

  /** Makes certain that no other replica sends the call, or its next round; waits for the store if need be. */
  async claimSending(): Promise<void> {
    const { call, store } = this.#options;
    this.#isClaimed = true;
    // Only a single try holds the turn to write: neither the end of the call nor that of the process waits for the store to come back.
    await this.#untilWritten("could not claim a call before sending it; trying again", () =>
      this.#inTurn(async () => {
        if (call.end !== undefined) return;
        const mine = await store.takeOver(this.#record);
        if (mine === undefined) call.handOff();
        else this.#record = mine;
      }),
    );
    // Another replica may have cancelled the call without this one hearing of it.
    await this.look().catch(() => {});
  }

  /** Saves where the call is and hands it off, if another replica can continue it. Returns whether it did; else the call goes on. */
  async leave(): Promise<boolean> {
    const { log } = this.#options;
    const before = this.#story;
    this.#note("left");
    try {
      await this.look();
      await this.write();
    } catch (err) {
      log.warn(
        { err, ...taskFields(this.#record) },
        "could not save a checkpoint; another gateway would resume from the one before",
      );
    }
    if (this.call.end !== undefined) return this.call.end.kind === "handedOff";
    const { isUnsent, pause, checkpoint } = this.#record;
    const canGoOn =
      isUnsent || pause !== undefined || checkpoint !== undefined || this.#options.storedCall?.mayRepeat;
    if (!canGoOn || !this.#isCallKept) {
      this.#story = before;
      return false;
    }
    this.#options.report({ kind: "left", task: this.#record });
    this.call.handOff();
    return true;
  }

  /** Ends the task though its call has not ended: nobody knows whether the work was done. @throws StoreUnavailable */
  async lose(reason: string): Promise<void> {
    const { store, clock, report } = this.#options;
    const lost: Outcome = { kind: "lost", endedAt: clock(), reason };
    this.#lost = lost;
    const outcome = await store.end(this.#told(), lost);
    this.#isLost = true;
    if (isSame(outcome, lost)) report({ kind: "ended", task: this.#told(), outcome });
  }

  /** Cancels the call of a task that has ended already, with the outcome `standing`. */
  cancel(standing: Outcome): void {
    if (this.call.end === undefined) this.#standing = standing;
    this.call.cancel(standing.kind === "cancelled" ? (standing.reason ?? "cancelled") : "the task has ended");
  }

  /** Gives up writing an outcome that the store does not accept. */
  abandon(): void {
    this.#abandoned.abort();
  }

  /**
   * That the call is certainly unsent, and what it takes to send it. Only for a record that exists: where the creation of the
   * task may have failed, no other replica may ever think that the call is still to be sent.
   */
  #unsent(): Pick<Change, "isUnsent" | "storedCall"> {
    const { call, storedCall } = this.#options;
    if (this.#isClaimed || this.#record.isUnsent || !call.isWaiting || storedCall?.params === undefined)
      return {};
    call.beforeSend = () => this.claimSending();
    return { isUnsent: true, storedCall };
  }

  /**
   * Where another replica can go on while the server waits for answers, and what it takes to send the next round. Each such round takes
   * a turn, and takeovers need some as well.
   */
  #paused(): Pick<Change, "pause" | "storedCall"> {
    const { call, storedCall } = this.#options;
    const { pause: known, turn = 0 } = this.#record;
    const { pause } = call;
    if (pause === undefined || known !== undefined || storedCall?.params === undefined) return {};
    if (turn >= MAX_TURNS - SPARE_TURNS || stateLength(pause) > MAX_STATE_LENGTH) return {};
    call.beforeRound = () => this.claimSending();
    return { pause, storedCall };
  }

  /** Where another replica could resume the call, and the stored call unless the store has it already. */
  #resumption(): Pick<Change, "checkpoint" | "storedCall"> {
    const { call, storedCall } = this.#options;
    if (storedCall === undefined || call.checkpoint === undefined) return {};
    const checkpoint = storable(call.checkpoint, this.#options.store);
    return { checkpoint, ...(this.#isCallKept ? {} : { storedCall: asSent(storedCall) }) };
  }

  /** Whether another gateway owns the call by now, because it did not hear of this one for too long. @throws StoreUnavailable */
  async #isTaken(): Promise<boolean> {
    const { store } = this.#options;
    const view = await store.read(this.#record.id).catch(ifDamaged);
    return view !== undefined && view.outcome === undefined && view.task.owner !== store.me;
  }

  /** Somebody emptied the store, or it lost its latest writes: clients that ask for the task must find it again. */
  #restore(): Promise<void> {
    return this.#inTurn(async () => {
      const { call, store, storedCall, log } = this.#options;
      if (call.end !== undefined) return;
      const kept = storedCall && keptBeside(this.#record, storedCall);
      await store.restore(this.#record, this.#isCallKept ? kept : undefined);
      throttled(log).say(
        "warn",
        taskFields(this.#record),
        "the store had lost a running task; wrote it again",
      );
    });
  }

  async #look(): Promise<void> {
    const { call, store, log } = this.#options;
    if (call.end !== undefined) return;
    const view = await store.read(this.#record.id);
    if (view === undefined) {
      // The store's clock has expired it, rightly or not: do not write a task anew that has ended.
      const ending = await store.ending(this.#record.id);
      return ending === undefined ? this.#restore() : this.cancel(ending);
    }
    const { task, outcome } = view;
    if (outcome !== undefined) {
      this.cancel(outcome);
    } else if (task.owner !== store.me) {
      log.warn(
        taskFields(task),
        "another gateway took over a task of this one, which was silent for longer than store.lease",
      );
      call.handOff();
    } else {
      // A cluster can make a write late that was given up: the record is then older than the last one written.
      const isOld = task.updatedAt < this.#record.updatedAt;
      const isNews = this.#unsent().isUnsent || this.#paused().pause !== undefined;
      if (isOld || this.#retryDelayMs > 0 || isNews) await this.write();
      // Another process may have taken an answer while it had the call, without telling the server.
      const asked = Object.keys({ ...call.checkpoint?.asked, ...call.pause?.asked, ...call.inputRequests });
      const answers = await store.answers(task.id, asked);
      if (answers.size === 0) return;
      const taken = [...answers.keys()].filter((key) => Object.hasOwn(call.inputRequests, key)).length;
      call.takeAnswers(answers);
      if (taken > 0) this.#note("answered", taken);
      await this.write();
    }
  }

  /** Says that the call is sent, if this process has sent it. */
  #reportSent(): void {
    const { queueMs } = this.call;
    if (queueMs !== undefined) this.#options.report({ kind: "sent", task: this.#record, queueMs });
  }

  /** The record with all that happened to the task. */
  #told(): TaskRecord {
    return this.#story.length === 0 ? this.#record : { ...this.#record, story: this.#story };
  }

  /** Keeps a line for the record, to be written along with the next thing that is. */
  #note(what: StoryLine["what"], count?: number): void {
    const { clock, store } = this.#options;
    const line = { at: clock(), what, replica: store.me, ...(count === undefined ? {} : { count }) };
    this.#story = withLine(this.#story, line);
  }

  #reportAsked(): void {
    const known = this.#askedKeys;
    this.#askedKeys = Object.keys(this.call.inputRequests);
    const questions = this.#askedKeys.filter((key) => !known.includes(key)).length;
    if (questions === 0) return;
    this.#note("asked", questions);
    this.#options.report({ kind: "asked", task: this.#record, questions });
  }

  /** Keeps a message for the record: writes the first of many at once, and then at most one every `everyMs`. */
  #say(message: string, everyMs: number): void {
    this.#statusMessage = message;
    this.#writeWithin(everyMs);
  }

  #writeWithin(everyMs: number): void {
    this.#writeSoon(Math.max(0, this.#writtenAt + everyMs - performance.now()));
  }

  #writeSoon(withinMs: number): void {
    const dueAt = performance.now() + withinMs;
    if (this.call.end !== undefined || (this.#timer !== undefined && this.#dueAt <= dueAt)) return;
    clearTimeout(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writtenAt = performance.now();
      this.write().catch((err) => {
        const what = "could not write a task's state";
        const isRetried = isAway(err);
        const details = { err, ...taskFields(this.#record) };
        throttled(this.#options.log).say("warn", details, isRetried ? `${what}; trying again` : what);
      });
    }, withinMs);
  }

  /** Writes that the call waits, unless it is sent soon or the record says so already. */
  #sayWhenWaiting(): void {
    this.#waiting = setTimeout(() => {
      const isKnown = this.#record.isUnsent || this.#isClaimed;
      if (this.call.state === "queued" && !isKnown) this.#writeSoon(0);
    }, WAITS_AFTER_MS);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#writing.then(work);
    this.#writing = turn.catch(() => {});
    return turn;
  }

  async #end(end: CallEnd): Promise<void> {
    clearTimeout(this.#timer);
    this.#retriesNoMore();
    clearTimeout(this.#waiting);
    await this.#writing;
    // Another replica continues the call and writes its end, or the task has an outcome already.
    if (end.kind === "handedOff" || this.#isLost) return;
    const { maxResultBytes, clock, store, unwritten } = this.#options;
    // What others have told their clients stays, also if a failover has lost it since. And nobody cancelled a call that the gateway only
    // lets go of because it stops.
    const known = this.#standing ?? (end.kind === "cancelled" ? this.#lost : undefined);
    let outcome = known ?? toOutcome(end, maxResultBytes, clock());
    let giveBack: (() => void) | undefined;
    const write = async () => {
      try {
        // An error on this side says nothing about a call that another replica continues.
        if (end.kind === "ours" && store.isLasting && (await this.#isTaken())) return;
        const standing = await store.end(this.#told(), outcome);
        // The writer of `#standing` has reported it.
        if (this.#standing === undefined && isSame(standing, outcome)) this.#stands(outcome);
      } catch (error) {
        giveBack ??= unwritten.keep(sizeOf(outcome), this.#record);
        // An outcome that was written once already is worth another try, but no room that others need.
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
    // A finished result must survive a store that is away for a while, and must never look like a failed tool.
    await this.#untilWritten("could not write a task's outcome; trying again", write)
      // The store may be back just as the gateway stops.
      .catch((error) => (isAway(error) ? write() : Promise.reject(error)))
      .finally(() => giveBack?.());
  }

  /** The store holds the outcome that this task wrote. */
  #stands(outcome: Outcome): void {
    const { report, onStored } = this.#options;
    onStored?.(this.#record, sizeOf(outcome));
    report({ kind: "ended", task: this.#told(), outcome });
  }

  /** Tries again for as long as the store is away, until `abandon`. */
  async #untilWritten(what: string, write: () => Promise<void>): Promise<void> {
    const { log, tries } = this.#options;
    const { signal } = this.#abandoned;
    for (let delay = nextDelayMs(0); !signal.aborted; delay = nextDelayMs(delay)) {
      try {
        return await tries.run(write, signal);
      } catch (error) {
        if (!isAway(error)) throw error;
        throttled(log).say("error", { err: error, ...taskFields(this.#record) }, what);
        await tries.pause(delay, signal);
      }
    }
    throw new StoreUnavailable("the gateway is stopping");
  }
}

const stateLength = ({ requestState = "" }: Pause) => requestState.length;

/** The record may be damaged and the outcome can be written all the same. */
function ifDamaged(error: unknown): undefined {
  if (!(error instanceof UnreadableValue)) throw error;
}

const nextDelayMs = (delayMs: number) =>
  Math.min(Math.max(delayMs * 2, MIN_RETRY_DELAY_MS), MAX_RETRY_DELAY_MS);
