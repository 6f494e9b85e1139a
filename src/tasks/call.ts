import { randomUUID } from "node:crypto";
import { rpc, toRpcError } from "../protocol/errors.ts";
import type {
  JsonObject,
  JsonRpcMessage,
  JsonRpcNotification,
  JsonRpcRequest,
  RequestId,
} from "../protocol/jsonrpc.ts";
import { isDeclared, requiredCapability } from "../protocol/legacy.ts";
import type { SharedBytes } from "../quotas/bytes.ts";
import type { CallRecipe, Checkpoint, InputAnswer, InputRequest } from "../stores/task-store.ts";
import type { CallSession, Progress, SessionHolder } from "../upstreams/session.ts";
import { type CallEnd, overdue, toEnd, toErrorEnd } from "./call-end.ts";
import type { CallListener } from "./call-listener.ts";
import { type Answer, Questions } from "./questions.ts";
import { type Sender, Sending, type SendingOptions } from "./sending.ts";
import type { Slots } from "./slots.ts";
import { hasVisited, requiredVisits, VISITING } from "./visits.ts";

/** The method and its params are as the server gets them, and a session is leased each time the call needs one. */
export interface CallOptions extends SendingOptions {
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
  readonly #sending: Sending;
  #isStarted = false;
  #state: "queued" | "sent" | "ended" = "queued";
  #progress: Progress | undefined;
  /** Whether the request is going out, or has gone out, from here. */
  #isBegun = false;
  #attendants = 0;
  #end: CallEnd | undefined;

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
    this.#sending = new Sending(options, this.#sender());
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
    const { place } = this.#sending;
    if (place === undefined || this.#end !== undefined) return undefined;
    const { asked, usedKeys } = this.#questions;
    return { ...place, asked, usedKeys };
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
    this.#sending.leave();
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
    return this.#sending.hear(message);
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
        const response = await this.#sending.exchange();
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

  /** Ends the call before the server did. */
  #abandon(end: CallEnd): void {
    if (this.#end !== undefined) return;
    const { message } =
      end.kind === "ours" ? end.error : { message: end.kind === "cancelled" ? end.reason : "" };
    this.#sending.cancel(message);
    this.#finish(end);
    // What runs keeps its slot until the server has come to rest.
    if (!this.#hasSlot) this.#leaveSlot();
    // What another process has sent runs as well: to be told of it, the server has to be found first.
    if (!this.#hasSlot && this.#options.resume !== undefined) this.#sending.exchange().catch(() => {});
    this.#sending.settle();
  }

  #sender(): Sender {
    return {
      holder: this,
      listener: {
        onProgress: (progress) => {
          this.#progress = progress;
          this.#tell((listener) => listener.onProgress?.(progress));
        },
        onAccepted: () => this.#tell((listener) => listener.onAccepted?.()),
      },
      over: () => (this.#end === undefined ? undefined : this.#end.kind === "left" ? "left" : "over"),
      beforeSend: () => {
        const before = this.#isBegun ? undefined : this.beforeSend;
        this.#isBegun = true;
        return before?.();
      },
      onSent: () => {
        if (this.#state !== "queued") return;
        this.#state = "sent";
        this.#tell((listener) => listener.onSent?.());
      },
      onRejoined: (session) => this.#questions.rejoin(session),
      onRepeat: () => this.#questions.forget(),
      onPlace: () => this.#tell((listener) => listener.onCheckpoint?.()),
    };
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
