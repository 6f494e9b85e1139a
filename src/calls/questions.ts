import { rpc } from "../protocol/errors.ts";
import { isObject, isSameId, type JsonObject, type RequestId, toJson } from "../protocol/jsonrpc.ts";
import type { Checkpoint, InputAnswer, InputRequest } from "../store/task-store.ts";
import type { CallSession } from "../upstream/sessions/session.ts";
import { checkAnswer, InputKeys } from "./input.ts";

/** The record keeps the open questions, and every read of the task shows all of them. */
const MAX_OPEN = 100;
const MAX_OPEN_LENGTH = 8_388_608;
/** Without this limit a server that asks and withdraws would never end the call, and its keys, never used twice, would pile up. */
const MAX_ASKED = 1_000;

/** What the asker gets: the answer, an error when there will be none, or nothing if it no longer wants one. */
export type Answer = InputAnswer | undefined;

interface Question {
  readonly request: InputRequest;
  /** Of its JSON text, in characters. */
  readonly length: number;
  readonly settle: (answer: Answer) => void;
}

export interface QuestionsOptions {
  /** Answers that came with the client's request, to questions that the server has not asked yet. */
  readonly early: JsonObject;
  /** Called when a question is added or goes. */
  readonly onChange: () => void;
  /** Which run of the call this is, if it ran before. */
  readonly run?: number | undefined;
  /** What the server asked while another process had the call. */
  readonly before?: Pick<Checkpoint, "asked" | "usedKeys"> & {
    /**
     * The questions that nobody has answered, by key. The others have an answer that the server may not know: nobody is asked
     * these again, and only `take` accepts answers to them.
     */
    readonly inputRequests: Readonly<Record<string, InputRequest>>;
  };
}

/** A question that was asked while another process had the call. */
interface Restored {
  readonly id: RequestId;
  readonly request: InputRequest | undefined;
  readonly answer: Promise<Answer>;
}

/** The server's questions in the course of one call, each under its own key. */
export class Questions {
  readonly #options: QuestionsOptions;
  readonly #open = new Map<string, Question>();
  /** Questions with a recorded answer from the time when another process had the call: it may not have told the server. */
  readonly #untold = new Map<string, Question["settle"]>();
  /** The server's ids of the questions whose answers it has not got yet, by key. */
  readonly #asked = new Map<string, RequestId>();
  readonly #keys: InputKeys;
  #restored: readonly Restored[];
  #isClosed = false;

  constructor(options: QuestionsOptions) {
    this.#options = options;
    const { asked, usedKeys, inputRequests } = options.before ?? NOTHING;
    this.#keys = new InputKeys(usedKeys, options.run);
    this.#restored = Object.entries(asked).map(([key, id]) =>
      this.#restore(key, id, Object.hasOwn(inputRequests, key) ? inputRequests[key] : undefined),
    );
  }

  /** The server's ids of its questions, by key, until it has their answers. */
  get asked(): Readonly<Record<string, RequestId>> {
    return Object.fromEntries(this.#asked);
  }

  get usedKeys(): readonly string[] {
    return this.#keys.used;
  }

  get isEmpty(): boolean {
    return this.#open.size === 0;
  }

  /** The questions without an answer. */
  toInputRequests(): Readonly<Record<string, InputRequest>> {
    return Object.fromEntries([...this.#open].map(([key, { request }]) => [key, request]));
  }

  /**
   * Asks a question. Resolves when there is an answer, or when there certainly will be none. `name`: the server's own name for
   * the question, if it has one.
   * @throws -32602 when an early answer has the wrong shape, -32603 when the server asks too much
   */
  ask(request: InputRequest, upstreamId?: RequestId, name?: string): Promise<Answer> {
    if (this.#isClosed) return Promise.resolve(OVER);
    const length = this.#measured(request);
    const key = this.#keys.next(request, name);
    const { early, onChange } = this.#options;
    if (upstreamId !== undefined) this.#asked.set(key, upstreamId);
    if (Object.hasOwn(early, key))
      return Promise.resolve({ result: checkAnswer(key, request.method, early[key]) });
    return new Promise((settle) => {
      this.#open.set(key, { request, length, settle });
      onChange();
    });
  }

  /** Sends the server the answer that `asking` resolves with, for its request `id`. */
  deliver(
    id: RequestId,
    params: JsonObject | undefined,
    session: CallSession,
    asking: Promise<Answer>,
  ): void {
    const stop = keepAsking(session, params);
    void asking.finally(stop).then(async (answer) => {
      if (answer === undefined) return;
      await session.respond(id, answer);
      for (const [key, asked] of this.#asked) if (asked === id) this.#asked.delete(key);
    });
  }

  /** Delivers the answers to questions of another process's time on the session that this one has rejoined. To be called once. */
  rejoin(session: CallSession): void {
    for (const { id, request, answer } of this.#restored) this.deliver(id, request?.params, session, answer);
    this.#restored = [];
  }

  /** Resolves when the questions of another process's time have answers, or certainly will have none. */
  async restored(): Promise<void> {
    await Promise.all(this.#restored.map(({ answer }) => answer));
  }

  /** Drops all questions: the server will ask anew. */
  forget(): void {
    this.#settleAll(undefined);
    this.#asked.clear();
    this.#restored = [];
    this.#options.onChange();
  }

  /**
   * Takes answers to open questions. Ignores keys of questions that are not open.
   * @throws -32602 when one has the wrong shape; none is taken then
   */
  answer(responses: JsonObject): void {
    const given = Object.entries(responses).flatMap(([key, response]) => {
      const asked = this.#open.get(key)?.request;
      return asked === undefined
        ? []
        : [[key, { result: checkAnswer(key, asked.method, response) }] as const];
    });
    this.take(new Map(given));
  }

  /** As `answer`, for answers that the gateway has checked, or does not judge because they are between client and server. */
  take(answers: ReadonlyMap<string, Answer>): void {
    let isChanged = false;
    for (const [key, answer] of answers) {
      const settle = this.#open.get(key)?.settle ?? this.#untold.get(key);
      settle?.(answer);
      this.#untold.delete(key);
      if (this.#open.delete(key)) isChanged = true;
    }
    if (isChanged) this.#options.onChange();
  }

  /** Whether the server asked under this id and has no answer yet. */
  isAskedUnder(upstreamId: unknown): boolean {
    return [...this.#asked.values()].some((id) => id === upstreamId);
  }

  /** The server withdraws a question. */
  withdraw(upstreamId: unknown): void {
    const asked = [...this.#asked];
    const same = asked.filter(([, id]) => id === upstreamId);
    // A server that keeps its ids as strings may name a numeric id as a string.
    const meant = same.length > 0 ? same : asked.filter(([, id]) => isSameId(upstreamId, id));
    const keys = meant.map(([key]) => key);
    for (const key of keys) this.#asked.delete(key);
    this.take(new Map(keys.map((key) => [key, undefined])));
  }

  /** Nobody will answer any more. `isLeft`: another replica continues the call, so the server hears nothing. */
  close(isLeft = false): void {
    this.#isClosed = true;
    this.#settleAll(isLeft ? undefined : OVER);
  }

  /** The length of the question's text. @throws -32603 when it is one too many, or makes the open ones too long */
  #measured(request: InputRequest): number {
    const { length } = toJson(request);
    let openLength = length;
    for (const question of this.#open.values()) openLength += question.length;
    const tooMuch = (what: string) => rpc.internal(`The server asked ${what}`);
    if (this.#open.size >= MAX_OPEN) throw tooMuch(`more than ${MAX_OPEN} questions at once`);
    if (this.#keys.count >= MAX_ASKED) throw tooMuch(`more than ${MAX_ASKED} questions in one call`);
    if (openLength > MAX_OPEN_LENGTH) throw tooMuch(`questions of more than ${MAX_OPEN_LENGTH} characters`);
    return length;
  }

  #restore(key: string, id: RequestId, request: InputRequest | undefined): Restored {
    this.#asked.set(key, id);
    const answer = new Promise<Answer>((settle) => {
      if (request === undefined) this.#untold.set(key, settle);
      else this.#open.set(key, { request, length: toJson(request).length, settle });
    });
    return { id, request, answer };
  }

  #settleAll(answer: Answer): void {
    for (const { settle } of this.#open.values()) settle(answer);
    for (const settle of this.#untold.values()) settle(answer);
    this.#open.clear();
    this.#untold.clear();
  }
}

/** The answer to a server that asks, or has asked, for a call that is over. */
const OVER: Answer = { error: { code: -32603, message: "The call has ended" } };

const NOTHING: NonNullable<QuestionsOptions["before"]> = { asked: {}, usedKeys: [], inputRequests: {} };

const KEEPALIVE_MS = 15_000;

/**
 * Sends the server progress while its question waits for an answer: servers give up after a while, and some then wait longer.
 * Returns a function that stops it.
 */
function keepAsking(session: CallSession, params: JsonObject | undefined): () => void {
  const progressToken = isObject(params?._meta) ? params._meta.progressToken : undefined;
  if (progressToken === undefined) return () => {};
  let progress = 0;
  const timer = setInterval(() => {
    progress += 1;
    session.notify("notifications/progress", { progressToken, progress });
  }, KEEPALIVE_MS);
  return () => clearInterval(timer);
}
