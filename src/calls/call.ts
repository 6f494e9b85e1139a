import { OwnSignal } from "../lib/signal.ts";
import type { SharedBytes } from "../limits/bytes.ts";
import { RpcError, rpc, toRpcError } from "../protocol/errors.ts";
import type {
  JsonObject,
  JsonRpcMessage,
  JsonRpcNotification,
  JsonRpcRequest,
  JsonRpcResponse,
  RequestId,
} from "../protocol/jsonrpc.ts";
import { isDeclared, requiredCapability } from "../protocol/legacy.ts";
import type { TraceContext } from "../protocol/trace-context.ts";
import {
  type Checkpoint,
  type InputAnswer,
  type InputRequest,
  type Pause,
  type StoredCall,
  StoreUnavailable,
} from "../store/task-store.ts";
import { isUnusable, toFailure, UpstreamFailure } from "../upstream/failure.ts";
import { isForgotten } from "../upstream/sessions/control.ts";
import type { Lease, Leasing, RejoinedLease } from "../upstream/sessions/pool.ts";
import type {
  CallSession,
  Progress,
  RequestListener,
  RequestPause,
  RequestPlace,
  SessionHolder,
  UpstreamRequest,
} from "../upstream/sessions/session.ts";
import {
  type CallEnd,
  type CallListener,
  cannotRejoin,
  GIVEN_UP,
  NotPickedUp,
  neverSent,
  overdue,
  reasonOf,
  toEnd,
  toErrorEnd,
} from "./call-end.ts";
import { type Answer, Questions } from "./questions.ts";
import { hasVisited, requiredVisits, VISITING } from "./required-visits.ts";
import type { Slots } from "./slots.ts";

/** The server gets `method` and `params` as they are; the call leases a session each time it needs one. */
export interface CallOptions {
  readonly lease: Leasing<Lease>;
  readonly method: string;
  readonly params: JsonObject;
  readonly logLevel?: string;
  /** Headers for this request only. Names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Where to resume a request that another process has sent. Absent: this process sends it. */
  readonly resume?: Checkpoint;
  /** Leases the session of `resume`. */
  readonly rejoin?: Leasing<RejoinedLease>;
  /** Where to go on with a call whose server waits for the answers to another process's questions. Absent: nowhere. */
  readonly pause?: Pause;
  /** Which run of the call this is, if others have sent the request before and nobody knows what became of it. */
  readonly run?: number;
  /** Whether the gateway may send the request again when it cannot pick up the answer (`onLoss: retry`). Absent: no. */
  readonly mayRepeat?: boolean;
  readonly slots: Pick<Slots, "enter" | "isFull">;
  /** The caller whose slots the call takes. */
  readonly caller: string;
  /**
   * What the client declared: the server may ask for nothing else. Absent: the session is the client's own, and the gateway does
   * not judge what client and server ask and answer there.
   */
  readonly capabilities?: JsonObject;
  /** With `resume` or `pause`: their questions that nobody has answered, by key. Answers to the others go to `takeAnswers`. */
  readonly inputRequests?: Readonly<Record<string, InputRequest>>;
  /** Answers that came with the request, to questions that the server has not asked yet. */
  readonly answers?: JsonObject;
  /** How long the call may run; for a resumed call, what is left of that. */
  readonly maxRuntimeMs: number;
  /** Whether the server speaks 2026-07-28 itself: its errors then have the meaning of that revision. Absent: no. */
  readonly isModern?: boolean;
  /** Counts the memory of the params, and of the answer, for as long as the call lasts. Absent: nothing counts it. */
  readonly held?: SharedBytes | undefined;
  /** What another replica needs to make or resume the call. Absent: no other replica can. */
  readonly storedCall?: StoredCall;
  /** The trace context of the request that made the call. Absent: none. */
  readonly trace?: TraceContext | undefined;
}

/** After this many rounds of pages to visit, the server is not going to begin. */
const MAX_VISITS = 10;

/** How long a cancelled call keeps its session, so that the server hears of the cancellation and finishes. */
const CANCEL_GRACE_MS = 2_000;

/**
 * One request in flight to the server. It outlives the HTTP request that began it: listeners hear what happens to it, and only
 * the store keeps it.
 */
export class Call implements SessionHolder {
  /** When the call was made, in milliseconds of a clock that nobody sets (`performance.now`). */
  readonly madeAt = performance.now();
  /** The call awaits this once it has a slot and a session, before it first sends the request. A rejection ends the call, unsent. */
  beforeSend: (() => Promise<void>) | undefined;
  /** The call awaits this before it sends the round that follows a pause. A rejection ends the call; that round is then unsent. */
  beforeRound: (() => Promise<void>) | undefined;
  readonly #options: CallOptions;
  readonly #listeners = new Set<CallListener>();
  /** Absent until the first question: most calls ask none. */
  #asked: Questions | undefined;
  /** Gives the call's slot back, or takes it out of the queue for one. */
  #leaveSlot = () => {};
  #hasSlot = false;
  /** Ends a call that waits, or runs, longer than `maxRuntimeMs`. */
  #patience: NodeJS.Timeout | undefined;
  #isStarted = false;
  #state: "queued" | "sent" | "ended" = "queued";
  #progress: Progress | undefined;
  /** Aborts the wait for a session; undefined while the call does not wait for one. */
  #waiting: OwnSignal | undefined;
  #lease: Lease | undefined;
  #request: UpstreamRequest | undefined;
  /** Where to resume the request, until the call has tried that. */
  #resume: Checkpoint | undefined;
  /** Where another replica could go on waiting for the answer; undefined when none could. */
  #place: RequestPlace | undefined;
  /** Set while the server waits for answers and runs nothing. */
  #pause: Pause | undefined;
  /** The pause from which to go on, until the call has a session for that. */
  #paused: Pause | undefined;
  /** Whether this process has sent the request, or is about to. */
  #isBegun = false;
  #mayHaveBegun = false;
  #queueMs: number | undefined;
  #attendants = 0;
  #end: CallEnd | undefined;

  /** What the session reports of the request. */
  readonly #heard = {
    onProgress: (progress: Progress): void => {
      this.#progress = progress;
      this.#tell((listener) => listener.onProgress?.(progress));
    },
    onAccepted: (): void => this.#tell((listener) => listener.onAccepted?.()),
  };

  constructor(options: CallOptions) {
    this.#options = options;
    const { resume, pause } = options;
    if ((resume ?? pause) !== undefined) {
      this.#asked = this.#newQuestions();
      this.#state = "sent";
    }
    this.#pause = pause;
    this.#paused = pause;
    this.#resume = resume;
    this.#place = resume;
  }

  get storedCall(): StoredCall | undefined {
    return this.#options.storedCall;
  }

  get trace(): TraceContext | undefined {
    return this.#options.trace;
  }

  get state(): "queued" | "sent" | "ended" {
    return this.#state;
  }

  /** How long the call has waited before this process sent it. `undefined`: it has not, or another process sent the call. */
  get queueMs(): number | undefined {
    return this.#queueMs;
  }

  /** Whether the call waits for a slot or a session, or would if started now: it is not sent, and will not be before `beforeSend`. */
  get isWaiting(): boolean {
    const { slots, caller } = this.#options;
    return this.#state === "queued" && (this.#isStarted || slots.isFull(caller));
  }

  /** Whether the call would have to wait for a slot and has not been started: nobody can send it before its creator calls `start`. */
  get isToWait(): boolean {
    return !this.#isStarted && this.isWaiting;
  }

  get end(): CallEnd | undefined {
    return this.#end;
  }

  /** The last progress that the server reported. */
  get progress(): Progress | undefined {
    return this.#progress;
  }

  /** The server's unanswered questions, by key. */
  get inputRequests(): Readonly<Record<string, InputRequest>> {
    return this.#asked?.toInputRequests() ?? {};
  }

  get isAsking(): boolean {
    return this.#asked !== undefined && !this.#asked.isEmpty;
  }

  /**
   * Where another replica could resume the call: undefined unless the server keeps its events and has sent one. Listeners have
   * already heard everything before that place.
   */
  get checkpoint(): Checkpoint | undefined {
    if (this.#place === undefined || this.#end !== undefined) return undefined;
    const { asked, usedKeys } = this.#questions;
    return { ...this.#place, asked, usedKeys };
  }

  /** Where another replica could go on with the call while its server waits for answers: undefined unless it does. */
  get pause(): Pause | undefined {
    return this.#end === undefined ? this.#pause : undefined;
  }

  /** Sends the request as soon as there is a slot and a session for it, or resumes it. To be called once. */
  start(): this {
    if (this.#end !== undefined) return this;
    this.#isStarted = true;
    const { slots, caller } = this.#options;
    this.listen({ onEnd: this.share() });
    if (slots.isFull(caller)) this.#setPatience();
    try {
      this.#leaveSlot = slots.enter(caller, () => void this.#work());
    } catch (error) {
      this.#finish(toErrorEnd(error));
    }
    return this;
  }

  /** Tells `listener` of everything from now on, until the returned function is called. */
  listen(listener: CallListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * A client's request waits for the call; several do when the client repeats a round. Returns a function that ends the wait and
   * says whether no other request waits.
   */
  attend(): () => boolean {
    this.#attendants += 1;
    let isHere = true;
    return () => {
      if (isHere) this.#attendants -= 1;
      isHere = false;
      return this.#attendants === 0;
    };
  }

  /** Keeps the params counted for another user of them. Returns a function that ends that. */
  share(): () => void {
    return this.#options.held?.share() ?? (() => {});
  }

  /**
   * Answers questions. Ignores keys of questions that are not open.
   * @throws -32602 when an answer has the wrong shape; none is taken then
   */
  answer(responses: JsonObject): void {
    this.#asked?.answer(responses);
  }

  /** As `answer`, for answers whose shape the gateway does not judge, errors among them. */
  takeAnswers(answers: ReadonlyMap<string, InputAnswer>): void {
    this.#asked?.take(answers);
  }

  /** Ends the call and tells the server. Whether the server stops the work is up to the server. */
  cancel(reason: string): void {
    this.#abandon({ kind: "cancelled", reason });
  }

  /** Another replica continues the call, or has already: stops listening without telling the server anything, and ends here as `handedOff`. */
  handOff(): void {
    if (this.#end !== undefined) return;
    this.#finish({ kind: "handedOff" });
    this.#waiting?.abort(neverSent());
    // A session that was not used yet is of no use to another replica.
    this.#lease?.release(this.#mayHaveBegun ? "handedOff" : "busy");
    this.#leaveSlot();
  }

  /** Drops the result, unless somebody waits for it. */
  forgetResult(): void {
    if (this.#end?.kind === "result" && this.#attendants === 0) this.#end = GIVEN_UP;
  }

  onRequest(request: JsonRpcRequest, session: CallSession, key?: string): void {
    const { method, params, id } = request;
    // A server that cannot know whether we heard it repeats a request; the question has been asked already.
    if (this.isAskedUnder(id)) return;
    const { capabilities } = this.#options;
    const required = requiredCapability(method, params);
    if (capabilities !== undefined && required === undefined) {
      void session.respond(id, { error: { code: -32601, message: `Method not found: ${method}` } });
    } else if (capabilities !== undefined && required !== undefined && !isDeclared(capabilities, required)) {
      void session.respond(id, {
        error: { code: -32601, message: `The client did not declare what ${method} needs` },
      });
      this.#abandon({ kind: "ours", error: rpc.missingCapability(required) });
    } else {
      this.#questions.deliver(id, params, session, this.#ask({ ...request }, key));
    }
  }

  /** Whether the server waits for the answer to its own request with this id. */
  isAskedUnder(id: unknown): boolean {
    return this.#asked?.isAskedUnder(id) ?? false;
  }

  /** Gives the call a message that the server sent on another stream. Returns whether the message was meant for the call. */
  hear(message: JsonRpcMessage): boolean {
    return this.#lease?.session.hear(message) ?? false;
  }

  onNotification(notification: JsonRpcNotification): void {
    if (notification.method === "notifications/cancelled")
      this.#questions.withdraw(notification.params?.requestId);
    else this.#tell((listener) => listener.onNotification?.(notification));
  }

  get #questions(): Questions {
    this.#asked ??= this.#newQuestions();
    return this.#asked;
  }

  #newQuestions(): Questions {
    const { answers: early = {}, run, resume, pause, inputRequests = {} } = this.#options;
    const before = resume ?? pause;
    const onChange = () => this.#tell((listener) => listener.onQuestions?.());
    const restored = before === undefined ? {} : { before: { ...before, inputRequests } };
    const questions = new Questions({ early, run, onChange, ...restored });
    if (this.#end !== undefined) questions.close(this.#end.kind === "handedOff");
    return questions;
  }

  /** Bounds the wait for a slot, and then the call. */
  #setPatience(): void {
    clearTimeout(this.#patience);
    if (this.#end === undefined) this.#patience = setTimeout(this.#tooLate, this.#options.maxRuntimeMs);
  }

  async #work(): Promise<void> {
    this.#hasSlot = true;
    this.#setPatience();
    try {
      for (let round = 0; this.#end === undefined; round += 1) {
        const response = await this.#exchange();
        // A legacy client handles this error itself, and a modern server asks in another way.
        const { capabilities, isModern = false, resume, mayRepeat = resume === undefined } = this.#options;
        const isBridged = capabilities !== undefined && !isModern;
        const isOurs = isBridged && mayRepeat && round < MAX_VISITS;
        const pages = isOurs && "error" in response ? requiredVisits(response.error) : [];
        if (pages.length === 0) return this.#finish(toEnd(response, isModern, isBridged));
        if (!(await this.#visit(pages))) return;
      }
    } catch (error) {
      this.#finish(toErrorEnd(error));
    } finally {
      this.#leaveSlot();
    }
  }

  /** Never rejects: an early answer of the wrong shape, or one question too many, ends the call. */
  async #ask({ jsonrpc: _, id, ...asked }: InputRequest & { id?: RequestId }, key?: string): Promise<Answer> {
    try {
      return await this.#questions.ask(asked, id, key);
    } catch (error) {
      this.#abandon({ kind: "ours", error: toRpcError(error) });
      return { error: { code: -32602, message: "The question cannot be answered" } };
    }
  }

  /** Asks the user to visit the pages that the server requires first. Returns whether the user visited all of them. */
  async #visit(pages: readonly InputRequest[]): Promise<boolean> {
    if (!isDeclared(this.#options.capabilities, VISITING)) throw rpc.missingCapability(VISITING);
    const answers = await Promise.all(pages.map((page) => this.#ask(page)));
    const isAccepted = answers.every(hasVisited);
    if (!isAccepted)
      this.#finish({ kind: "ours", error: rpc.internal("The user did not go where the server sent them") });
    return isAccepted;
  }

  readonly #tooLate = (): void => {
    const { maxRuntimeMs, resume } = this.#options;
    // A resumed call has only the rest of its limit, a figure that nobody configured.
    this.#abandon(overdue(this.#state !== "queued", resume === undefined ? maxRuntimeMs : undefined));
  };

  /** Sends the request, or resumes it, and waits for the answer. */
  async #exchange(): Promise<JsonRpcResponse> {
    const resume = this.#resume;
    if (resume !== undefined) {
      try {
        return await this.#goOn(resume);
      } catch (error) {
        const isRepeated = this.#options.mayRepeat && error instanceof NotPickedUp;
        if (!isRepeated || this.#end !== undefined) throw error;
        this.#questions.forget();
      } finally {
        this.#resume = undefined;
      }
    }
    if (this.#paused !== undefined) {
      // Until then the server need not be there.
      await this.#questions.restored();
      this.#refuseWhenOver();
    }
    for (;;) {
      const lease = await this.#leased(this.#options.lease);
      try {
        const response = await this.#send(lease);
        lease.release(this.#end === undefined ? "quiet" : "busy");
        return response;
      } catch (error) {
        // A server that has answered, however badly, is done with the call.
        const isDone = isUnusable(toFailure(error)) && this.#end === undefined;
        const isLost = isForgotten(toFailure(error));
        lease.release(isDone ? "quiet" : isLost ? "lost" : "busy");
        if (error instanceof RpcError || error instanceof StoreUnavailable) throw error;
        // The server has forgotten an idle session and has not looked at the request, so sending it again is safe.
        const failure = toFailure(error);
        if (!lease.isReused || !isForgotten(failure) || this.#end !== undefined) throw failure;
      } finally {
        this.#rest();
      }
    }
  }

  /** Waits for the answer to a request that another process has sent. */
  async #goOn(checkpoint: Checkpoint): Promise<JsonRpcResponse> {
    const { rejoin = cannotRejoin } = this.#options;
    this.#mayHaveBegun = true;
    let lease: RejoinedLease | undefined;
    let isPickedUp = false;
    try {
      lease = await this.#leased(rejoin);
      this.#lease = lease;
      if (this.#end?.kind === "handedOff") throw neverSent();
      this.#questions.rejoin(lease.session);
      this.#request = lease.session.resume(checkpoint, {
        ...this.#heard,
        room: this.#options.held,
        onPlace: (place) => {
          isPickedUp = true;
          this.#reach(place);
        },
      });
      if (this.#end !== undefined) {
        this.#request.cancel(reasonOf(this.#end));
        this.#settle();
      }
      return await this.#request.response;
    } catch (error) {
      throw isPickedUp ? error : new NotPickedUp(toFailure(error));
    } finally {
      lease?.release(this.#end?.kind === "handedOff" ? "handedOff" : "busy");
      this.#rest();
    }
  }

  async #leased<L extends Lease>(lease: Leasing<L>): Promise<L> {
    this.#waiting = new OwnSignal();
    try {
      return await lease(this, this.#waiting);
    } finally {
      this.#waiting = undefined;
    }
  }

  async #send(lease: Lease): Promise<JsonRpcResponse> {
    this.#refuseWhenOver();
    this.#lease = lease;
    const { logLevel, headers } = this.#options;
    if (logLevel !== undefined) {
      await lease.session.setLogLevel(logLevel);
      this.#refuseWhenOver();
    }
    const before = this.#isBegun ? undefined : this.beforeSend?.();
    this.#isBegun = true;
    if (before !== undefined) {
      await before;
      this.#refuseWhenOver();
    }
    this.#mayHaveBegun = true;
    this.#request = this.#begin(lease.session, {
      headers,
      room: this.#options.held,
      onPlace: (place) => this.#reach(place),
      onPause: (pause) => this.#stay(pause),
      beforeRound: () => this.#goRound(),
      ...this.#heard,
    });
    if (this.#state === "queued") {
      this.#state = "sent";
      this.#queueMs = performance.now() - this.madeAt;
      this.#tell((listener) => listener.onSent?.());
    }
    return this.#request.response;
  }

  #begin(session: CallSession, listener: RequestListener): UpstreamRequest {
    const { method, params } = this.#options;
    const paused = this.#paused;
    if (paused === undefined) return session.request(method, params, listener);
    if (session.goOn === undefined)
      throw new UpstreamFailure("The server has no rounds", { mayHaveRun: true });
    this.#paused = undefined;
    const { asked, usedKeys: _, ...state } = paused;
    const request = session.goOn(method, params, { names: Object.values(asked), ...state }, listener);
    this.#questions.rejoin(session);
    return request;
  }

  /** The server waits for answers to the questions that it has just asked. */
  #stay({ names, ...state }: RequestPause): void {
    const asked = Object.entries(this.#questions.asked).flatMap(([key, id]) => {
      const name = names.get(id);
      return name === undefined ? [] : [[key, name] as const];
    });
    // Whoever goes on must know under which name each answer is expected.
    if (asked.length === names.size)
      this.#pause = { ...state, asked: Object.fromEntries(asked), usedKeys: this.#questions.usedKeys };
  }

  async #goRound(): Promise<void> {
    this.#pause = undefined;
    const before = this.beforeRound?.();
    this.beforeRound = undefined;
    await before;
    this.#refuseWhenOver();
  }

  #reach(place: RequestPlace): void {
    if (this.#end !== undefined) return;
    this.#place = place;
    this.#tell((listener) => listener.onCheckpoint?.());
  }

  #rest(): void {
    this.#lease = undefined;
    this.#request = undefined;
    this.#place = undefined;
    this.#pause = undefined;
  }

  #refuseWhenOver(): void {
    if (this.#end !== undefined) throw neverSent();
  }

  /** Ends the call before the server did, and tells the server as soon as possible. */
  #abandon(end: CallEnd): void {
    if (this.#end !== undefined) return;
    this.#request?.cancel(reasonOf(end));
    this.#finish(end);
    // A running call keeps its slot until the server has finished.
    if (!this.#hasSlot) this.#leaveSlot();
    // A request that another process has sent runs as well: to cancel it, the call must rejoin its session first.
    if (!this.#hasSlot && this.#options.resume !== undefined) this.#exchange().catch(() => {});
    this.#settle();
  }

  /** Stops waiting for the server after an abandoned call, at the latest after `CANCEL_GRACE_MS`. */
  #settle(): void {
    // The server must hear that its running request is cancelled, and that takes the session.
    if (this.#resume === undefined || this.#lease !== undefined) this.#waiting?.abort(neverSent());
    else this.#soon(() => this.#waiting?.abort(neverSent()));
    const lease = this.#lease;
    if (lease !== undefined) this.#soon(() => lease.release("busy"));
  }

  /** Calls `give` after the grace period, unless the server has answered before. */
  #soon(give: () => void): void {
    const timer = setTimeout(give, CANCEL_GRACE_MS);
    this.#request?.response.catch(() => {}).finally(() => clearTimeout(timer));
  }

  #finish(end: CallEnd): void {
    if (this.#end !== undefined) return;
    clearTimeout(this.#patience);
    this.#end = end;
    this.#state = "ended";
    this.#asked?.close(end.kind === "handedOff");
    this.#tell((listener) => listener.onEnd?.(end));
    this.#listeners.clear();
  }

  #tell(event: (listener: CallListener) => void): void {
    for (const listener of [...this.#listeners]) event(listener);
  }
}
