import type { JsonObject, RequestId } from "../protocol/jsonrpc.ts";
import type { InputAnswer, InputRequest } from "../stores/task-store.ts";
import { checkAnswer, InputKeys } from "./input.ts";

/** What whoever asked is told: the answer, that there will be none, or nothing, if they do not want to know any more. */
export type Answer = InputAnswer | undefined;

interface Question {
  readonly request: InputRequest;
  /** The server's own id for it, where it has one. */
  readonly upstreamId: RequestId | undefined;
  readonly settle: (answer: Answer) => void;
}

export interface QuestionsOptions {
  /** Answers that came with the client's request, to questions that have yet to be asked. */
  readonly early: JsonObject;
  /** There is a question more, or one less. */
  readonly onChange: () => void;
}

/** What a server wants to know in the course of one call, each question under a key of its own. */
export class Questions {
  readonly #options: QuestionsOptions;
  readonly #open = new Map<string, Question>();
  readonly #keys = new InputKeys();
  #isClosed = false;

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#open.size === 0;
  }

  /** The questions without an answer. */
  toInputRequests(): Readonly<Record<string, InputRequest>> {
    return Object.fromEntries([...this.#open].map(([key, { request }]) => [key, request]));
  }

  /**
   * Asks, and resolves when there is an answer or when it is certain that there will be none. `name`: the server's own for
   * the question, where it has one.
   * @throws -32602 when an answer came early and has the wrong shape
   */
  ask(request: InputRequest, upstreamId?: RequestId, name?: string): Promise<Answer> {
    if (this.#isClosed) return Promise.resolve(OVER);
    const key = this.#keys.next(request, name);
    const { early, onChange } = this.#options;
    if (Object.hasOwn(early, key))
      return Promise.resolve({ result: checkAnswer(key, request.method, early[key]) });
    return new Promise((settle) => {
      this.#open.set(key, { request, upstreamId, settle });
      onChange();
    });
  }

  /**
   * Takes the answers to questions that are open; what is not asked, or no longer, is ignored.
   * @throws -32602 when one has the wrong shape; then none was taken
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

  /** As `answer`, with answers that have been checked, or that are between the server and its client alone. */
  take(answers: ReadonlyMap<string, InputAnswer>): void {
    let isChanged = false;
    for (const [key, answer] of answers) {
      const question = this.#open.get(key);
      if (question === undefined) continue;
      this.#settle(key, question, answer);
      isChanged = true;
    }
    if (isChanged) this.#options.onChange();
  }

  /** Whether there is an open question that the server asked under this id. */
  isAskedUnder(upstreamId: unknown): boolean {
    return this.#under(upstreamId) !== undefined;
  }

  /** The server does not want to know any longer. */
  withdraw(upstreamId: unknown): void {
    const [key, question] = this.#under(upstreamId) ?? [];
    if (key === undefined || question === undefined) return;
    this.#settle(key, question, undefined);
    this.#options.onChange();
  }

  /** Nobody is going to answer any more. */
  close(): void {
    this.#isClosed = true;
    for (const [key, question] of this.#open) this.#settle(key, question, OVER);
  }

  #under(upstreamId: unknown): [string, Question] | undefined {
    if (upstreamId === undefined) return undefined;
    return [...this.#open].find(([, question]) => question.upstreamId === upstreamId);
  }

  #settle(key: string, question: Question, answer: Answer): void {
    this.#open.delete(key);
    question.settle(answer);
  }
}

/** What a server is told that asks, or has asked, for a call that is over. */
const OVER: Answer = { error: { code: -32603, message: "The call has ended" } };
