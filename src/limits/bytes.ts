import type { LimitsConfig } from "../config/config.ts";
import { once } from "../lib/once.ts";
import type { RpcError } from "../protocol/errors.ts";
import { type Answer, type AnswerRoom, Answers } from "./answers.ts";
import { Counter, type QuotaKey, type Reached, type Scope } from "./counter.ts";
import { limitReached } from "./refusal.ts";

export interface BytesOptions {
  readonly limits: Pick<LimitsConfig, Scope>;
  /** Milliseconds that never go back. */
  readonly clock: () => number;
  /** How many bytes of this process's memory the task store takes. Absent: 0, the store is elsewhere. */
  readonly stored?: (() => number) | undefined;
}

/**
 * Requests up to this size have a reserved part of `limits.total.bytes`, and displace larger incomplete ones: a caller that fills the
 * memory cannot keep others from polling a task.
 */
export const SMALL_BYTES = 65_536;
const RESERVED = 1 / 8;
/** How long a request has to arrive before a large one may displace it. */
const MIN_ARRIVAL_MS = 2_000;
/** How many of the oldest incomplete requests are examined for one to give up. */
const MAX_LOOKS = 64;

/**
 * Counts the bytes of requests and answers that this process holds, from their arrival until nothing holds them any more, against one
 * limit in total and one for each caller.
 */
export class Bytes {
  readonly #options: BytesOptions;
  readonly #held: Counter;
  readonly #answers: Answers;
  /** Incomplete bodies, the oldest first: since when, and how to give one up. */
  readonly #incomplete = new Map<HeldBytes, Incomplete>();
  /** How much of the total small requests hold. */
  #small = 0;

  constructor(options: BytesOptions) {
    this.#options = options;
    const { limits, stored = () => 0 } = options;
    const others = () => this.total + stored();
    // `#reachedBy` knows the total: it has a part that is reserved.
    this.#held = new Counter({
      get perCaller() {
        return limits.perCaller.bytes;
      },
    });
    this.#answers = new Answers({ maxBytes: () => limits.total.bytes, others });
  }

  /** How many bytes the process holds. */
  get total(): number {
    return this.#held.total;
  }

  /** How many bytes it holds of one caller; 0 for an unidentified one. */
  of(quotaKey: QuotaKey): number {
    return this.#held.of(quotaKey);
  }

  /** How much memory large answers of servers take, more or less. */
  get answers(): number {
    return this.#answers.bytes;
  }

  /** For the answer to a request. */
  answer(): Answer {
    return this.#answers.open();
  }

  /** Begins to count a request of which nothing has arrived yet. */
  hold(quotaKey: QuotaKey): HeldBytes {
    return new HeldBytes(this, quotaKey);
  }

  /** Counts bytes that already exist, even without room. Returns a function that releases them; only its first call counts. */
  add(quotaKey: QuotaKey, bytes: number): () => void {
    const held = this.hold(quotaKey);
    held.add(bytes);
    return () => held.release();
  }

  /** @throws RpcError, naming the limit, when there is no room for a large request of this caller */
  check(quotaKey: QuotaKey): void {
    const reached = this.#reachedBy(quotaKey, SMALL_BYTES, false);
    if (reached !== undefined) throw refusalOf(reached);
  }

  /**
   * Makes room for more bytes of a request, if need be by giving up other incomplete requests.
   * @throws RpcError, HTTP 429 or 503, naming the limit
   */
  makeRoom(held: HeldBytes, bytes: number): void {
    const isSmall = held.bytes + bytes <= SMALL_BYTES;
    for (;;) {
      const reached = this.#reachedBy(held.quotaKey, bytes, isSmall);
      if (reached === undefined) return;
      if (reached.scope !== "total" || !this.#giveUpFor(held, isSmall, reached)) throw refusalOf(reached);
    }
  }

  /** `bytes` may be negative. */
  count(quotaKey: QuotaKey, bytes: number, smallBytes: number): void {
    this.#held.add(quotaKey, bytes);
    this.#small += smallBytes;
  }

  /** Marks a request as incomplete: others may displace it until the caller calls the returned function. */
  arriving(held: HeldBytes, giveUp: (refusal: RpcError) => void): () => void {
    this.#incomplete.set(held, { since: this.#options.clock(), giveUp });
    return () => void this.#incomplete.delete(held);
  }

  #reachedBy(quotaKey: QuotaKey, bytes: number, isSmall: boolean): Reached | undefined {
    const { limits, stored = () => 0 } = this.#options;
    const own = this.#held.reachedBy(quotaKey, bytes);
    const max = limits.total.bytes;
    if (own !== undefined || max === undefined) return own;
    const taken = this.total + stored() + this.#answers.bytes + bytes;
    const hasRoom = isSmall
      ? taken <= max || this.#small + bytes <= max * RESERVED
      : taken <= max * (1 - RESERVED);
    return hasRoom ? undefined : { scope: "total", max };
  }

  /** Gives up the oldest incomplete request that has had its time or, for a small one, is large. Returns whether it gave one up. */
  #giveUpFor(held: HeldBytes, isSmall: boolean, reached: Reached): boolean {
    const now = this.#options.clock();
    let looks = MAX_LOOKS;
    for (const [other, { since, giveUp }] of this.#incomplete) {
      looks -= 1;
      if (looks < 0) return false;
      const mayGo = now - since >= MIN_ARRIVAL_MS;
      // The requests behind it have had even less time.
      if (!mayGo && !isSmall) return false;
      if (other === held || other.bytes === 0 || (!mayGo && other.bytes <= SMALL_BYTES)) continue;
      this.#incomplete.delete(other);
      giveUp(refusalOf(reached));
      other.release();
      return true;
    }
    return false;
  }
}

interface Incomplete {
  readonly since: number;
  readonly giveUp: (refusal: RpcError) => void;
}

/** Bytes with several holders: counted once, until the last holder releases them. */
export interface SharedBytes extends AnswerRoom {
  /** Adds a holder. Returns a function that releases its hold; only the first call counts. */
  share(): () => void;
  /** For one message of several that came together: its answer waits for room by itself, and is held no longer than the message is. */
  part(): SharedBytes;
}

/** The bytes of one request. */
export class HeldBytes implements SharedBytes {
  readonly #account: Bytes;
  #quotaKey: QuotaKey;
  #bytes = 0;
  #holders = 1;
  #answer: Answer | undefined;
  /** The answers to the request and to its parts. Absent until one is large. */
  #answers: Set<Answer> | undefined;

  constructor(account: Bytes, quotaKey: QuotaKey) {
    this.#account = account;
    this.#quotaKey = quotaKey;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get quotaKey(): QuotaKey {
    return this.#quotaKey;
  }

  /** Makes room for so many more bytes. @throws RpcError, HTTP 429 or 503, naming the limit, when there is none */
  expect(bytes: number): void {
    this.#account.makeRoom(this, bytes);
  }

  /** Counts so many more bytes that arrived. @throws as `expect` does; then it does not count them */
  grow(bytes: number): void {
    this.expect(bytes);
    this.add(bytes);
  }

  /** Counts bytes that already exist, even without room. */
  add(bytes: number): void {
    this.#count(bytes);
  }

  /** Moves the bytes to the caller, once the gateway knows who it is. */
  assign(quotaKey: QuotaKey): void {
    const { bytes } = this;
    this.#count(-bytes);
    this.#quotaKey = quotaKey;
    this.#count(bytes);
  }

  /** Marks the request as incomplete: see `Bytes.arriving`. */
  arriving(giveUp: (refusal: RpcError) => void): () => void {
    return this.#account.arriving(this, giveUp);
  }

  arrive(bytes: number): Promise<void> | undefined {
    this.#answer ??= this.openAnswer();
    return this.#answer?.arrive(bytes);
  }

  restart(): void {
    this.#answer?.restart();
  }

  arrived(): void {
    this.#answer?.arrived();
  }

  part(): SharedBytes {
    return new PartBytes(this);
  }

  /** For an answer that is released with the request, if not before; `undefined` once that is released. */
  openAnswer(): Answer | undefined {
    if (this.#holders < 0) return undefined;
    const answer = this.#account.answer();
    this.#answers ??= new Set();
    this.#answers.add(answer);
    return answer;
  }

  closeAnswer(answer: Answer): void {
    this.#answers?.delete(answer);
    answer.release();
  }

  share(): () => void {
    this.#holders += 1;
    return once(() => this.#letGo());
  }

  /** Releases the first holder's hold. Only the first call counts. */
  readonly release = once(() => this.#letGo());

  #letGo(): void {
    this.#holders -= 1;
    if (this.#holders > 0) return;
    this.#count(-this.#bytes);
    this.#holders = -1;
    for (const answer of this.#answers ?? []) this.closeAnswer(answer);
  }

  #count(bytes: number): void {
    // Released: bytes that still arrive are dropped.
    if (this.#holders < 0) return;
    const before = smallPart(this.#bytes);
    this.#bytes += bytes;
    this.#account.count(this.#quotaKey, bytes, smallPart(this.#bytes) - before);
  }
}

/** The part of a request's bytes that one of its messages has. */
class PartBytes implements SharedBytes {
  readonly #whole: HeldBytes;
  #holders = 0;
  #answer: Answer | undefined;

  constructor(whole: HeldBytes) {
    this.#whole = whole;
  }

  arrive(bytes: number): Promise<void> | undefined {
    this.#answer ??= this.#whole.openAnswer();
    return this.#answer?.arrive(bytes);
  }

  restart(): void {
    this.#answer?.restart();
  }

  arrived(): void {
    this.#answer?.arrived();
  }

  share(): () => void {
    const letGo = this.#whole.share();
    this.#holders += 1;
    return once(() => {
      this.#holders -= 1;
      if (this.#holders === 0 && this.#answer !== undefined) this.#whole.closeAnswer(this.#answer);
      letGo();
    });
  }

  part(): SharedBytes {
    return new PartBytes(this.#whole);
  }
}

function smallPart(bytes: number): number {
  return bytes <= SMALL_BYTES ? bytes : 0;
}

function refusalOf(reached: Reached): RpcError {
  return limitReached(reached, "bytes");
}
