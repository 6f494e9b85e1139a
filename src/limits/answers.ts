/** Where an answer finds room while it is read, and until nothing holds it any more. */
export interface AnswerRoom {
  /** So many bytes more of it are to be read. Absent: there is room; else resolves when there is. */
  arrive(bytes: number): Promise<void> | undefined;
  /** What was read is not part of it: it begins anew. */
  restart(): void;
  /** There is no more to be read of it. */
  arrived(): void;
}

export interface AnswersOptions {
  /** Absent: as much as there is. */
  readonly maxBytes: number | undefined;
  /** How much else this process holds of the same memory. */
  readonly others: () => number;
}

/**
 * An answer is there as bytes, as text, as what it means, and as the text that is stored or sent: not all at once, but nearly, and what is done with
 * stays until it is collected. With less than that, 64 answers of a megabyte at once have ended a gateway with 160 MB.
 */
export const ANSWER_WEIGHT = 8;
/** Whoever has room for the rest of an answer, and reads none of it for so long, is not waited for. */
const PATIENCE_MS = 2_000;

/**
 * Large answers of servers. Those that are being read wait for each other where there is no room for all: a server that is not read from waits.
 * One of them can always go on, so that none waits in vain.
 */
export class Answers {
  readonly #options: AnswersOptions;
  /** Of all answers, and of those that have not been read to their end. Weighed. */
  #held = 0;
  #partial = 0;
  readonly #waiting = new Map<Answer, { readonly weight: number; readonly goOn: () => void }>();
  /** Goes on whether or not there is room. */
  #first: Answer | undefined;
  #firstReadAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /** How much memory they take, more or less. Bytes. */
  get bytes(): number {
    return this.#held;
  }

  open(): Answer {
    return new Answer(this);
  }

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

  /** What was read of it is complete, or gone. */
  settle(answer: Answer, isGone: boolean): void {
    if (!answer.isComplete) this.#partial -= answer.weight;
    if (isGone) this.#held -= answer.weight;
    if (answer === this.#first) this.#first = undefined;
    const waiting = this.#waiting.get(answer);
    this.#waiting.delete(answer);
    // Who reads on will see that nobody wants it any more.
    waiting?.goOn();
  }

  /** Lets those go on for whom there is room now. */
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
    const { maxBytes = Number.POSITIVE_INFINITY, others } = this.#options;
    // What has been read is about to be written, and then there is room.
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

  /** Whether there is room for what the answer waits with. */
  #try(answer: Answer): boolean {
    const waiting = this.#waiting.get(answer);
    if (waiting === undefined || !this.#mayGoOn(answer, waiting.weight)) return false;
    this.#waiting.delete(answer);
    this.#count(answer, waiting.weight);
    waiting.goOn();
    return true;
  }
}

/** One answer. */
export class Answer implements AnswerRoom {
  readonly #answers: Answers;
  /** What is counted of it. */
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

  /** Nothing holds it any more. */
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
