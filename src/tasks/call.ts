import { randomUUID } from "node:crypto";
import { rpc, toRpcError } from "../protocol/errors.ts";
import type {
  JsonObject,
  JsonRpcMessage,
  JsonRpcNotification,
  JsonRpcRequest,
  JsonRpcResponse,
  RequestId,
} from "../protocol/jsonrpc.ts";
import { isDeclared, requiredCapability } from "../protocol/legacy.ts";
import type { InputAnswer, InputRequest } from "../stores/task-store.ts";
import { isForgotten } from "../upstreams/control.ts";
import { toFailure, UpstreamFailure } from "../upstreams/failure.ts";
import { keepAsking } from "../upstreams/keep-asking.ts";
import type { Lease } from "../upstreams/pool.ts";
import type { CallSession, Progress, SessionHolder, UpstreamRequest } from "../upstreams/session.ts";
import { type CallEnd, toEnd, toErrorEnd } from "./call-end.ts";
import { type Answer, Questions } from "./questions.ts";
import type { Slots } from "./slots.ts";
import { hasVisited, requiredVisits, VISITING } from "./visits.ts";

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
  onEnd?(end: CallEnd): void;
}

export interface CallOptions {
  /** Where the call gets a session from, each time it needs one, unless it is over before. @throws UpstreamFailure */
  readonly lease: (holder: SessionHolder, over: AbortSignal) => Promise<Lease>;
  readonly slots: Slots;
  /** Whose slots it takes. */
  readonly caller: string;
  /**
   * What the client declared, and so all that the server may ask for. Absent: the session is the client's own, and what is
   * asked and answered on it is between the two of them.
   */
  readonly capabilities?: JsonObject;
  readonly method: string;
  /** As the server gets them. */
  readonly params: JsonObject;
  readonly logLevel?: string;
  /** Answers that came with the request, to questions that the server has yet to ask. */
  readonly answers?: JsonObject;
  readonly maxRuntimeMs: number;
  /** Whether the server speaks 2026-07-28 itself, so that its errors mean what they mean there. Absent: no. */
  readonly isModern?: boolean;
}

/** How long a cancelled call keeps its session, for the server to hear of it and to come to rest. */
const CANCEL_GRACE_MS = 2_000;
/** A server that asks the user to visit one page after another is not going to begin. */
const MAX_VISITS = 10;

/**
 * One request in flight to the server. It outlives the HTTP request that began it: what happens to it is heard by
 * whoever listens, and kept by nobody but the store.
 */
export class Call implements SessionHolder {
  readonly id = randomUUID();
  readonly #options: CallOptions;
  readonly #listeners = new Set<CallListener>();
  readonly #questions: Questions;
  /** Gives the call's slot back, or takes it out of the queue for one. */
  #leaveSlot = () => {};
  #hasSlot = false;
  /** Gives up waiting for a session; there only while the call does. */
  #waiting: AbortController | undefined;
  #lease: Lease | undefined;
  #request: UpstreamRequest | undefined;
  #state: "queued" | "sent" | "ended" = "queued";
  #progress: Progress | undefined;
  #attendants = 0;
  #end: CallEnd | undefined;

  constructor(options: CallOptions) {
    this.#options = options;
    this.#questions = new Questions({
      early: options.answers ?? {},
      onChange: () => this.#tell((listener) => listener.onQuestions?.()),
    });
  }

  get state(): "queued" | "sent" | "ended" {
    return this.#state;
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

  /** Sends the request as soon as there is a slot and a session for it. To be called once. */
  start(): this {
    if (this.#end !== undefined) return this;
    const { slots, caller, maxRuntimeMs } = this.#options;
    const patience = setTimeout(() => this.#giveUp(), maxRuntimeMs);
    this.listen({ onEnd: () => clearTimeout(patience) });
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

  onRequest(request: JsonRpcRequest, session: CallSession, key?: string): void {
    const { method, params, id } = request;
    const { capabilities } = this.#options;
    const required = requiredCapability(method, params);
    if (capabilities !== undefined && required === undefined) {
      session.respond(id, { error: { code: -32601, message: `Method not found: ${method}` } });
    } else if (capabilities !== undefined && required !== undefined && !isDeclared(capabilities, required)) {
      session.respond(id, {
        error: { code: -32601, message: `The client did not declare what ${method} needs` },
      });
      this.#abandon({ kind: "ours", error: rpc.missingCapability(required) });
    } else {
      const stop = keepAsking(session, params);
      void this.#ask({ ...request }, key)
        .finally(stop)
        .then((answer) => answer !== undefined && session.respond(id, answer));
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
    const tooLate = () => (this.#state === "queued" ? this.#giveUp() : this.#expire());
    const timer = setTimeout(tooLate, this.#options.maxRuntimeMs);
    try {
      for (let round = 0; this.#end === undefined; round += 1) {
        const response = await this.#exchange();
        // A legacy client knows what to do about the error itself, and a modern server asks in another way.
        const { capabilities, isModern = false } = this.#options;
        const isOurs = capabilities !== undefined && !isModern && round < MAX_VISITS;
        const pages = isOurs && "error" in response ? requiredVisits(response.error) : [];
        if (pages.length === 0) return this.#finish(toEnd(response, isModern));
        if (!(await this.#visit(pages))) return;
      }
    } catch (error) {
      this.#finish(toErrorEnd(error));
    } finally {
      clearTimeout(timer);
      this.#leaveSlot();
    }
  }

  /** Sends the request on a session of its own and waits for the answer. */
  async #exchange(): Promise<JsonRpcResponse> {
    for (;;) {
      const lease = await this.#leased();
      try {
        const response = await this.#send(lease);
        lease.release(this.#end === undefined ? "quiet" : "doubtful");
        return response;
      } catch (error) {
        lease.release("doubtful");
        // The server has forgotten a session that was idle, and so has not looked at the request: law 5 allows another try.
        const failure = toFailure(error);
        if (!lease.isReused || !isForgotten(failure) || this.#end !== undefined) throw failure;
      } finally {
        this.#lease = undefined;
        this.#request = undefined;
      }
    }
  }

  async #leased(): Promise<Lease> {
    this.#waiting = new AbortController();
    try {
      return await this.#options.lease(this, this.#waiting.signal);
    } finally {
      this.#waiting = undefined;
    }
  }

  async #send(lease: Lease): Promise<JsonRpcResponse> {
    this.#refuseWhenEnded();
    this.#lease = lease;
    const { method, params, logLevel } = this.#options;
    if (logLevel !== undefined) {
      await lease.session.setLogLevel(logLevel);
      this.#refuseWhenEnded();
    }
    this.#request = lease.session.request(method, params, {
      onProgress: (progress) => {
        this.#progress = progress;
        this.#tell((listener) => listener.onProgress?.(progress));
      },
      onAccepted: () => this.#tell((listener) => listener.onAccepted?.()),
    });
    if (this.#state === "queued") {
      this.#state = "sent";
      this.#tell((listener) => listener.onSent?.());
    }
    return this.#request.response;
  }

  #refuseWhenEnded(): void {
    if (this.#end !== undefined) throw neverSent();
  }

  /** Never rejects: an early answer of the wrong shape is the client's fault, and ends the call. */
  async #ask({ jsonrpc: _, id, ...asked }: InputRequest & { id?: RequestId }, key?: string): Promise<Answer> {
    try {
      return await this.#questions.ask(asked, id, key);
    } catch (error) {
      this.#abandon({ kind: "ours", error: toRpcError(error) });
      return { error: { code: -32602, message: "The client's answer has the wrong shape" } };
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

  #giveUp(): void {
    const message = `The call waited longer than maxRuntime (${this.#options.maxRuntimeMs} ms) and was never sent`;
    this.#abandon({ kind: "ours", error: rpc.internal(message) });
  }

  #expire(): void {
    const message = `The call ran longer than maxRuntime (${this.#options.maxRuntimeMs} ms) and was cancelled`;
    this.#abandon({ kind: "ours", error: rpc.internal(message) });
  }

  /** Ends the call before the server did. */
  #abandon(end: CallEnd): void {
    if (this.#end !== undefined) return;
    const { message } =
      end.kind === "ours" ? end.error : { message: end.kind === "cancelled" ? end.reason : "" };
    this.#request?.cancel(message);
    this.#finish(end);
    this.#waiting?.abort(neverSent());
    // What runs keeps its slot until the server has come to rest.
    if (!this.#hasSlot) this.#leaveSlot();
    const lease = this.#lease;
    if (lease === undefined) return;
    const timer = setTimeout(() => lease.release("doubtful"), CANCEL_GRACE_MS);
    this.#request?.response.catch(() => {}).finally(() => clearTimeout(timer));
  }

  #finish(end: CallEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#state = "ended";
    this.#questions.close();
    this.#tell((listener) => listener.onEnd?.(end));
    this.#listeners.clear();
  }

  #tell(event: (listener: CallListener) => void): void {
    for (const listener of [...this.#listeners]) event(listener);
  }
}

function neverSent(): UpstreamFailure {
  return new UpstreamFailure("The call was cancelled before it was sent", { mayHaveRun: false });
}
