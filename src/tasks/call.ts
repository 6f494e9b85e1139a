import { randomUUID } from "node:crypto";
import { RpcError, rpc, toRpcError } from "../protocol/errors.ts";
import type {
  JsonObject,
  JsonRpcError,
  JsonRpcMessage,
  JsonRpcNotification,
  JsonRpcRequest,
  JsonRpcResponse,
  RequestId,
} from "../protocol/jsonrpc.ts";
import { isDeclared, ofNoType, requiredCapability } from "../protocol/legacy.ts";
import type { SharedBytes } from "../quotas/bytes.ts";
import {
  type CallRecipe,
  type Checkpoint,
  type InputAnswer,
  type InputRequest,
  StoreUnavailable,
} from "../stores/task-store.ts";
import { isForgotten } from "../upstreams/control.ts";
import { isUnusable, toFailure, UpstreamFailure } from "../upstreams/failure.ts";
import type { Lease, RejoinedLease } from "../upstreams/pool.ts";
import type {
  CallSession,
  Progress,
  RequestPlace,
  SessionHolder,
  UpstreamRequest,
} from "../upstreams/session.ts";
import { type Answer, Questions } from "./questions.ts";
import type { Slots } from "./slots.ts";
import { hasVisited, requiredVisits, VISITING } from "./visits.ts";

/**
 * How a call ended: a closed list. `ours` is an error that the gateway made, which is not the server's word; `isModern` an
 * error of a server that speaks 2026-07-28 itself, whose code needs no translation. `left` is an end in this process only: the call
 * may go on, and somebody else is going to know how it ends.
 */
export type CallEnd =
  | { readonly kind: "result"; readonly result: JsonObject }
  | { readonly kind: "error"; readonly error: JsonRpcError; readonly isModern?: true }
  | { readonly kind: "ours"; readonly error: RpcError; readonly failure?: UpstreamFailure }
  | { readonly kind: "cancelled"; readonly reason: string }
  | { readonly kind: "left" };

/** What can be heard of a call. All optional; none may throw. */
export interface CallListener {
  onSent?(): void;
  /** The server has not refused the request. */
  onAccepted?(): void;
  onProgress?(progress: Progress): void;
  /** A notification that the server sent in the course of the call, and that is neither progress nor a withdrawal. */
  onNotification?(notification: JsonRpcNotification): void;
  /** There is a question more, or one less. */
  onQuestions?(): void;
  /** Somebody else could go on with the call, from another place than before: see `Call.checkpoint`. */
  onCheckpoint?(): void;
  onEnd?(end: CallEnd): void;
}

/** Where a call gets a session from, unless it is over before. @throws UpstreamFailure */
export type Leasing<L extends Lease> = (holder: SessionHolder, over: AbortSignal) => Promise<L>;

/** The method and its params are as the server gets them, and a session is leased each time the call needs one. */
export interface CallOptions {
  readonly lease: Leasing<Lease>;
  readonly method: string;
  readonly params: JsonObject;
  readonly logLevel?: string;
  /** Headers that go along with this request only. Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Where to go on with a request that another process has sent. Absent: it is sent from here. */
  readonly resume?: Checkpoint;
  /** Where the session of `resume` comes from. */
  readonly rejoin?: Leasing<RejoinedLease>;
  /** Which time the request is sent, if others have sent it before, and nobody knows what became of that. */
  readonly run?: number;
  /** Whether the request may be sent again when its answer cannot be picked up (`onLoss: retry`). Absent: no. */
  readonly mayRepeat?: boolean;
  readonly slots: Pick<Slots, "enter" | "isFull">;
  /** Whose slots it takes. */
  readonly caller: string;
  /**
   * What the client declared, and so all that the server may ask for. Absent: the session is the client's own, and what is
   * asked and answered on it is between the two of them.
   */
  readonly capabilities?: JsonObject;
  /** With `resume`: the questions of its checkpoint that nobody has answered, by key. Answers to the others are for `takeAnswers`. */
  readonly inputRequests?: Readonly<Record<string, InputRequest>>;
  /** Answers that came with the request, to questions that the server has yet to ask. */
  readonly answers?: JsonObject;
  /** How long the call may run; what is left of it, when the call goes on. */
  readonly maxRuntimeMs: number;
  /** Whether the server speaks 2026-07-28 itself, so that its errors mean what they mean there. Absent: no. */
  readonly isModern?: boolean;
  /** The memory that the params take; held as long as the call lasts. Absent: it is counted nowhere. */
  readonly held?: SharedBytes | undefined;
  /** What somebody else would need to make the call or to go on with it. Absent: nobody else can. */
  readonly recipe?: CallRecipe;
}

/** A server that asks the user to visit one page after another is not going to begin. */
const MAX_VISITS = 10;

/** How long a cancelled call keeps its session, for the server to hear of it and to come to rest. */
const CANCEL_GRACE_MS = 2_000;

/**
 * One request in flight to the server. It outlives the HTTP request that began it: what happens to it is heard by
 * whoever listens, and kept by nobody but the store.
 */
export class Call implements SessionHolder {
  readonly id = randomUUID();
  /** Called when there is a slot and a session, before the request first goes out. Should it reject, the call ends so, unsent. */
  beforeSend: (() => Promise<void>) | undefined;
  readonly #options: CallOptions;
  readonly #listeners = new Set<CallListener>();
  readonly #questions: Questions;
  /** Gives the call's slot back, or takes it out of the queue for one. */
  #leaveSlot = () => {};
  #hasSlot = false;
  #isStarted = false;
  #state: "queued" | "sent" | "ended" = "queued";
  #progress: Progress | undefined;
  /** Gives up waiting for a session; there only while the call does. */
  #waiting: AbortController | undefined;
  #lease: Lease | undefined;
  #request: UpstreamRequest | undefined;
  /** What is to be gone on with, until that has been tried. */
  #resume: Checkpoint | undefined;
  /** Where somebody else could go on waiting for the answer; undefined where nobody could. */
  #place: RequestPlace | undefined;
  /** Whether the request is going out, or has gone out, from here. */
  #isBegun = false;
  #mayHaveBegun = false;
  #attendants = 0;
  #end: CallEnd | undefined;

  /** What the session tells of the request. */
  readonly #heard = {
    onProgress: (progress: Progress): void => {
      this.#progress = progress;
      this.#tell((listener) => listener.onProgress?.(progress));
    },
    onAccepted: (): void => this.#tell((listener) => listener.onAccepted?.()),
  };

  constructor(options: CallOptions) {
    this.#options = options;
    const { resume, inputRequests = {} } = options;
    this.#questions = new Questions({
      early: options.answers ?? {},
      run: options.run,
      onChange: () => this.#tell((listener) => listener.onQuestions?.()),
      ...(resume === undefined ? {} : { before: { ...resume, inputRequests } }),
    });
    if (resume !== undefined) this.#state = "sent";
    this.#resume = resume;
    this.#place = resume;
  }

  get recipe(): CallRecipe | undefined {
    return this.#options.recipe;
  }

  get state(): "queued" | "sent" | "ended" {
    return this.#state;
  }

  /** Whether it has to wait its turn: then it has not been sent, and is not before `beforeSend` is called. */
  get isWaiting(): boolean {
    const { slots, caller } = this.#options;
    return this.#state === "queued" && (this.#isStarted || slots.isFull(caller));
  }

  /** Whether it is to wait its turn, and has not been started: then nobody can send it before whoever is to start it says so. */
  get isToWait(): boolean {
    return !this.#isStarted && this.isWaiting;
  }

  get end(): CallEnd | undefined {
    return this.#end;
  }

  /** What the server last said of how far it is. */
  get progress(): Progress | undefined {
    return this.#progress;
  }

  /** What the server waits to be told. */
  get inputRequests(): Readonly<Record<string, InputRequest>> {
    return this.#questions.toInputRequests();
  }

  get isAsking(): boolean {
    return !this.#questions.isEmpty;
  }

  /**
   * Where somebody else could go on with the call: undefined unless the server keeps what it says, and has said so. What it has said
   * before that place is known already to whoever listens.
   */
  get checkpoint(): Checkpoint | undefined {
    if (this.#place === undefined || this.#end !== undefined) return undefined;
    const { asked, usedKeys } = this.#questions;
    return { ...this.#place, asked, usedKeys };
  }

  /** Sends the request as soon as there is a slot and a session for it, or goes on with it. To be called once. */
  start(): this {
    if (this.#end !== undefined) return this;
    this.#isStarted = true;
    const { slots, caller, maxRuntimeMs } = this.#options;
    const patience = setTimeout(this.#tooLate, maxRuntimeMs);
    const letGo = this.share();
    this.listen({
      onEnd: () => {
        clearTimeout(patience);
        letGo();
      },
    });
    try {
      this.#leaveSlot = slots.enter(caller, () => {
        clearTimeout(patience);
        void this.#work();
      });
    } catch (error) {
      this.#finish(toErrorEnd(error));
    }
    return this;
  }

  /** Hears of everything from now on, until the returned function is called. */
  listen(listener: CallListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * A client's request waits for the call: several do when a round is repeated. Returns how to leave, which says whether
   * nobody else is waiting.
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

  /** Somebody else needs the params as well. Returns how to let go. */
  share(): () => void {
    return this.#options.held?.share() ?? (() => {});
  }

  /**
   * Answers questions. Keys that are not asked, or no longer, are ignored.
   * @throws -32602 when an answer has the wrong shape; then none was taken
   */
  answer(responses: JsonObject): void {
    this.#questions.answer(responses);
  }

  /** As `answer`, with answers whose shape is not ours to judge, errors among them. */
  takeAnswers(answers: ReadonlyMap<string, InputAnswer>): void {
    this.#questions.take(answers);
  }

  /** Ends the call and tells the server so. Whether the work ends as well is the server's affair. */
  cancel(reason: string): void {
    this.#abandon({ kind: "cancelled", reason });
  }

  /**
   * Somebody else goes on with the call, or has done so: stops listening without a word to the server, and ends here as `left`.
   */
  leave(): void {
    if (this.#end !== undefined) return;
    this.#finish({ kind: "left" });
    this.#waiting?.abort(neverSent());
    // A session that was not used yet is of no use to anybody.
    this.#lease?.release(this.#mayHaveBegun ? "left" : "doubtful");
    this.#leaveSlot();
  }

  /** The result is of no use to anybody any more. */
  forgetResult(): void {
    if (this.#end?.kind === "result")
      this.#end = { kind: "ours", error: rpc.internal("The result was given up") };
  }

  onRequest(request: JsonRpcRequest, session: CallSession, key?: string): void {
    const { method, params, id } = request;
    // What the server says again, since it cannot know that it was heard, was asked before.
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

  /** Whether the server waits for the answer to a request of its own with this id. */
  isAskedUnder(id: unknown): boolean {
    return this.#questions.isAskedUnder(id);
  }

  /** What the server sent on a stream that is not the call's own. Whether it was meant for the call. */
  hear(message: JsonRpcMessage): boolean {
    return this.#lease?.session.hear(message) ?? false;
  }

  onNotification(notification: JsonRpcNotification): void {
    if (notification.method === "notifications/cancelled")
      this.#questions.withdraw(notification.params?.requestId);
    else this.#tell((listener) => listener.onNotification?.(notification));
  }

  async #work(): Promise<void> {
    this.#hasSlot = true;
    const timer = setTimeout(this.#tooLate, this.#options.maxRuntimeMs);
    try {
      for (let round = 0; this.#end === undefined; round += 1) {
        const response = await this.#exchange();
        // A legacy client knows what to do about the error itself, and a modern server asks in another way.
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
      clearTimeout(timer);
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

  /** Asks the user to visit pages before the server will begin; whether it may now. */
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
    // What is left of it is no limit that anybody has set.
    this.#abandon(overdue(this.#state !== "queued", resume === undefined ? maxRuntimeMs : undefined));
  };

  /** Gets the request to the server, or goes on with it, and waits for the answer. */
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
    for (;;) {
      const lease = await this.#leased(this.#options.lease);
      try {
        const response = await this.#send(lease);
        lease.release(this.#end === undefined ? "quiet" : "doubtful");
        return response;
      } catch (error) {
        // A server that has answered, however badly, is done with the call.
        const isDone = isUnusable(toFailure(error)) && this.#end === undefined;
        const isLost = isForgotten(toFailure(error));
        lease.release(isDone ? "quiet" : isLost ? "lost" : "doubtful");
        if (error instanceof RpcError || error instanceof StoreUnavailable) throw error;
        // The server has forgotten a session that was idle, and has not looked at the request, so sending it again is safe.
        const failure = toFailure(error);
        if (!lease.isReused || !isForgotten(failure) || this.#end !== undefined) throw failure;
      } finally {
        this.#rest();
      }
    }
  }

  /** The rest of a request that another process has sent. */
  async #goOn(checkpoint: Checkpoint): Promise<JsonRpcResponse> {
    const { rejoin = cannotRejoin } = this.#options;
    this.#mayHaveBegun = true;
    let lease: RejoinedLease | undefined;
    let isPickedUp = false;
    try {
      lease = await this.#leased(rejoin);
      this.#lease = lease;
      if (this.#end?.kind === "left") throw neverSent();
      this.#questions.rejoin(lease.session);
      this.#request = lease.session.resume(checkpoint, {
        ...this.#heard,
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
      lease?.release(this.#end?.kind === "left" ? "left" : "doubtful");
      this.#rest();
    }
  }

  async #leased<L extends Lease>(lease: Leasing<L>): Promise<L> {
    this.#waiting = new AbortController();
    try {
      return await lease(this, this.#waiting.signal);
    } finally {
      this.#waiting = undefined;
    }
  }

  async #send(lease: Lease): Promise<JsonRpcResponse> {
    this.#refuseWhenOver();
    this.#lease = lease;
    const { method, params, logLevel, headers } = this.#options;
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
    this.#request = lease.session.request(method, params, {
      ...this.#heard,
      ...(headers === undefined ? {} : { headers }),
      onPlace: (place) => this.#reach(place),
    });
    if (this.#state === "queued") {
      this.#state = "sent";
      this.#tell((listener) => listener.onSent?.());
    }
    return this.#request.response;
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
  }

  #refuseWhenOver(): void {
    if (this.#end !== undefined) throw neverSent();
  }

  /** Ends the call before the server did, and tells the server so as soon as it can be told. */
  #abandon(end: CallEnd): void {
    if (this.#end !== undefined) return;
    this.#request?.cancel(reasonOf(end));
    this.#finish(end);
    // What runs keeps its slot until the server has come to rest.
    if (!this.#hasSlot) this.#leaveSlot();
    // What another process has sent runs as well: to be told of it, the server has to be found first.
    if (!this.#hasSlot && this.#options.resume !== undefined) this.#exchange().catch(() => {});
    this.#settle();
  }

  /** Does not wait for the server any longer than it has to, once the call is over that was cancelled. */
  #settle(): void {
    // What is under way already has to be told first, and for that its session has to be found.
    if (this.#resume === undefined || this.#lease !== undefined) this.#waiting?.abort(neverSent());
    else this.#soon(() => this.#waiting?.abort(neverSent()));
    const lease = this.#lease;
    if (lease !== undefined) this.#soon(() => lease.release("doubtful"));
  }

  /** Unless the server has come to rest before. */
  #soon(give: () => void): void {
    const timer = setTimeout(give, CANCEL_GRACE_MS);
    this.#request?.response.catch(() => {}).finally(() => clearTimeout(timer));
  }

  #finish(end: CallEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#state = "ended";
    this.#questions.close(end.kind === "left");
    this.#tell((listener) => listener.onEnd?.(end));
    this.#listeners.clear();
  }

  #tell(event: (listener: CallListener) => void): void {
    for (const listener of [...this.#listeners]) event(listener);
  }
}

/** The end that the server's answer is. `isBridged`: the client speaks 2026-07-28, and the server does not. */
function toEnd(response: JsonRpcResponse, isModern: boolean, isBridged = false): CallEnd {
  if (!("error" in response))
    return { kind: "result", result: isBridged ? ofNoType(response.result) : response.result };
  return { kind: "error", error: response.error, ...(isModern ? { isModern } : {}) };
}

/** The end that a fault is; what the server refused with is told as the server put it. */
function toErrorEnd(caught: unknown): CallEnd {
  if (!(caught instanceof UpstreamFailure)) return { kind: "ours", error: toRpcError(caught) };
  return { kind: "ours", error: rpc.upstreamFailed(caught.message, caught.facts), failure: caught };
}

/** The end of a call that took longer than it may. @param maxRuntimeMs absent where it is only what is left of it */
function overdue(isSent: boolean, maxRuntimeMs: number | undefined): CallEnd {
  const [what, ending] = isSent ? ["ran", "was cancelled"] : ["waited", "was never sent"];
  const limit = maxRuntimeMs === undefined ? "maxRuntime" : `maxRuntime (${maxRuntimeMs} ms)`;
  return { kind: "ours", error: rpc.internal(`The call ${what} longer than ${limit} and ${ending}`) };
}

/** What the server is told of an end that is not its own. */
function reasonOf(end: CallEnd): string {
  if (end.kind === "ours") return end.error.message;
  return end.kind === "cancelled" ? end.reason : "";
}

/** What another process has sent is lost to this one as well. */
class NotPickedUp extends UpstreamFailure {
  constructor({ message, facts }: UpstreamFailure) {
    const { status, wwwAuthenticate, cause } = facts;
    super(
      `The gateway that ran the call stopped, and the server's answer could not be picked up: ${message}. Whether the work was done is not known`,
      {
        mayHaveRun: true,
        ...(status === undefined ? {} : { status }),
        ...(wwwAuthenticate === undefined ? {} : { wwwAuthenticate }),
        cause,
      },
    );
  }
}

function neverSent(): UpstreamFailure {
  return new UpstreamFailure("The call was cancelled before it was sent", { mayHaveRun: false });
}

const cannotRejoin: Leasing<RejoinedLease> = async () => {
  throw new UpstreamFailure("Its session with the server cannot be joined again", { mayHaveRun: true });
};
