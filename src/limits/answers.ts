/** Counts the memory that one answer takes, from its first bytes on. */
export interface AnswerRoom {
  /** Asks for room for more bytes of the answer. Returns `undefined` if there is room; otherwise resolves as soon as there is. */
  arrive(bytes: number): Promise<void> | undefined;
  /** Counts the answer from 0 again: the bytes so far belonged to another message. */
  restart(): void;
  /** Says that the whole answer has been read. It still takes its memory. */
  arrived(): void;
}

export interface AnswersOptions {
  /** How many bytes all answers together may take, weighed. `undefined`: any number. */
  readonly maxBytes: () => number | undefined;
  /** How many bytes requests and the task store take, which count against the same maximum. */
  readonly others: () => number;
}

/**
 * How many bytes of memory the gateway needs for each byte of an answer. It receives bytes, decodes them to a text, parses the text, and makes
 * another text to store or send; V8 frees each of these some time after its last use. With smaller weights, 64 answers of a megabyte at once
 * ended a gateway with a heap of 160 MB.
 */
export const ANSWER_WEIGHT = 8;
/** How long the others wait for the answer that goes first while none of it arrives. */
const PATIENCE_MS = 2_000;

/**
 * The large answers that this process reads or holds. Where memory is short, it stops reading some of them, so that their servers wait. It
 * always reads on with one, the first: if all waited, none would ever be finished and make room.
 */
export class Answers {
  readonly #options: AnswersOptions;
  /** The weight of all answers. */
  #held = 0;
  /** The weight of answers of which more bytes are to come. */
  #partial = 0;
  /** Answers that wait for room, in the order in which they began to wait. */
  readonly #waiting = new Map<Answer, { readonly weight: number; readonly goOn: () => void }>();
  /** The answer that is read on even without room. */
  #first: Answer | undefined;
  /** When bytes of the first answer last arrived. */
  #firstReadAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /** About how many bytes of memory all answers take. */
  get bytes(): number {
    return this.#held;
  }

  /** Begins to count an answer of which nothing has arrived yet. */
  open(): Answer {
    return new Answer(this);
  }

  /** As `AnswerRoom.arrive`. */
  take(answer: Answer, bytes: number): Promise<void> | undefined {
    const weight = bytes * ANSWER_WEIGHT;
    if (this.#waiting.size === 0 || answer === this.#first) {
      if (this.#mayGoOn(answer, weight)) return void this.#count(answer, weight);
    }
    return new Promise((resolve) => {
      this.#waiting.set(answer, { weight, goOn: resolve });
      this.#turn();
    });
  }

  /** Takes note that an answer has been read completely or, with `isGone`, that nothing holds it any more. */
  settle(answer: Answer, isGone: boolean): void {
    if (!answer.isComplete) this.#partial -= answer.weight;
    if (isGone) this.#held -= answer.weight;
    if (answer === this.#first) this.#first = undefined;
    const waiting = this.#waiting.get(answer);
    this.#waiting.delete(answer);
    // The reader finds out by itself that nobody wants the answer any more.
    waiting?.goOn();
  }

  /** Lets the answers go on for which there is room now. */
  turn(): void {
    this.#turn();
  }

  #count(answer: Answer, weight: number): void {
    answer.weight += weight;
    this.#held += weight;
    if (!answer.isComplete) this.#partial += weight;
    if (answer === this.#first) this.#firstReadAt = performance.now();
  }

  #mayGoOn(answer: Answer, weight: number): boolean {
    const { others } = this.#options;
    const maxBytes = this.#options.maxBytes() ?? Number.POSITIVE_INFINITY;
    // Complete answers free their memory once they are written. Only the first may go on before, unless they alone exceed the maximum.
    if (answer === this.#first && this.#held - this.#partial <= maxBytes) return true;
    return this.#held === 0 || this.#held + weight + others() <= maxBytes;
  }

  #turn(): void {
    const now = performance.now();
    const isIdle = this.#first !== undefined && !this.#waiting.has(this.#first);
    if (isIdle && now - this.#firstReadAt >= PATIENCE_MS) this.#first = undefined;
    const [oldest] = this.#waiting.keys();
    if (this.#first === undefined && oldest !== undefined) {
      this.#first = oldest;
      this.#firstReadAt = now;
    }
    if (this.#first !== undefined) this.#try(this.#first);
    for (const [answer] of this.#waiting) if (!this.#try(answer)) break;
    clearTimeout(this.#timer);
    if (this.#waiting.size > 0) this.#timer = setTimeout(() => this.#turn(), PATIENCE_MS).unref();
  }

  /** Lets a waiting answer go on if there is room for its next bytes. Returns whether it did. */
  #try(answer: Answer): boolean {
    const waiting = this.#waiting.get(answer);
    if (waiting === undefined || !this.#mayGoOn(answer, waiting.weight)) return false;
    this.#waiting.delete(answer);
    this.#count(answer, waiting.weight);
    waiting.goOn();
    return true;
  }
}

/** One answer, until `release`. */
export class Answer implements AnswerRoom {
  readonly #answers: Answers;
  /** How much of it `Answers` counts. Only `Answers` writes it. */
  weight = 0;
  isComplete = false;
  #isGone = false;

  constructor(answers: Answers) {
    this.#answers = answers;
  }

  arrive(bytes: number): Promise<void> | undefined {
    return this.#isGone ? undefined : this.#answers.take(this, bytes);
  }

  restart(): void {
    this.#end(true);
    this.weight = 0;
    this.isComplete = this.#isGone;
  }

  arrived(): void {
    this.#end(false);
  }

  /** Stops counting the answer, because nothing holds it any more. Later bytes of it find room at once. */
  release(): void {
    this.#end(true);
    this.#isGone = true;
  }

  #end(isGone: boolean): void {
    if (this.#isGone) return;
    this.#answers.settle(this, isGone);
    this.isComplete = true;
    this.#answers.turn();
  }
}
