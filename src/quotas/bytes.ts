import type { LimitsConfig } from "../config/config.ts";
import { once } from "../ops/once.ts";
import type { RpcError } from "../protocol/errors.ts";
import { Counter, type Party, type Reached, type Scope } from "./counter.ts";
import { limitReached } from "./refusal.ts";

export interface BytesOptions {
  readonly limits: Pick<LimitsConfig, Scope>;
  /** Milliseconds that never go back. */
  readonly clock: () => number;
  /** How much of the memory of this process the task store takes; 0 where the store is somewhere else. */
  readonly stored?: (() => number) | undefined;
}

/**
 * Requests up to this size have a part of `limits.total.bytes` to themselves, and come before larger ones that are not complete: whoever
 * sends as much as there is room for keeps nobody from asking after a task.
 */
export const SMALL_BYTES = 65_536;
const RESERVED = 1 / 8;
/** How long a large request may take to arrive when another one needs its room. */
const MIN_ARRIVAL_MS = 2_000;
/** Among how many of the oldest one is looked for that can be given up. */
const MAX_LOOKS = 64;

/**
 * How many bytes this process holds of what clients sent, and of what it has to tell them: from their arrival until nothing holds them any
 * more, against one limit for all and one for each caller.
 */
export class Bytes {
  readonly #options: BytesOptions;
  readonly #held: Counter;
  /** Bodies that are not complete, the oldest first: since when, and how to give one up. */
  readonly #incomplete = new Map<HeldBytes, Incomplete>();
  /** Of the total, what small requests hold. */
  #small = 0;

  constructor(options: BytesOptions) {
    this.#options = options;
    this.#held = new Counter({ perCaller: options.limits.perCaller.bytes });
  }

  /** How many are held in all. */
  get total(): number {
    return this.#held.total;
  }

  /** How many of a caller's are held. */
  of(party: Party): number {
    return this.#held.of(party);
  }

  /** For a request of the party's, of which nothing has arrived yet. */
  hold(party: Party): HeldBytes {
    return new HeldBytes(this, party);
  }

  /** Counts what is there already, whether or not there is room. Returns how to say that it has gone, of which only the first time counts. */
  add(party: Party, bytes: number): () => void {
    const held = this.hold(party);
    held.add(bytes);
    return () => held.release();
  }

  /** @throws RpcError when a large request of the party's would be refused, naming the limit */
  check(party: Party): void {
    const reached = this.#reachedBy(party, SMALL_BYTES, false);
    if (reached !== undefined) throw refusalOf(reached);
  }

  /**
   * Makes room for more of a request, if need be by giving up others that are not complete.
   * @throws RpcError, HTTP 429 or 503, naming the limit
   */
  makeRoom(held: HeldBytes, bytes: number): void {
    const isSmall = held.bytes + bytes <= SMALL_BYTES;
    for (;;) {
      const reached = this.#reachedBy(held.party, bytes, isSmall);
      if (reached === undefined) return;
      if (reached.scope !== "total" || !this.#giveUpFor(held, isSmall, reached)) throw refusalOf(reached);
    }
  }

  /** `bytes` may be negative. */
  count(party: Party, bytes: number, smallBytes: number): void {
    this.#held.add(party, bytes);
    this.#small += smallBytes;
  }

  /** A request is not complete: until that is called which is returned, it may be given up for others. */
  arriving(held: HeldBytes, giveUp: (refusal: RpcError) => void): () => void {
    this.#incomplete.set(held, { since: this.#options.clock(), giveUp });
    return () => void this.#incomplete.delete(held);
  }

  #reachedBy(party: Party, bytes: number, isSmall: boolean): Reached | undefined {
    const { limits, stored = () => 0 } = this.#options;
    const own = this.#held.reachedBy(party, bytes);
    const max = limits.total.bytes;
    if (own !== undefined || max === undefined) return own;
    const taken = this.total + stored() + bytes;
    const hasRoom = isSmall
      ? taken <= max || this.#small + bytes <= max * RESERVED
      : taken <= max * (1 - RESERVED);
    return hasRoom ? undefined : { scope: "total", max };
  }

  /** Says whether another one was given up: the oldest, unless it is as small, or has had little time. */
  #giveUpFor(held: HeldBytes, isSmall: boolean, reached: Reached): boolean {
    const now = this.#options.clock();
    let looks = MAX_LOOKS;
    for (const [other, { since, giveUp }] of this.#incomplete) {
      looks -= 1;
      if (looks < 0) return false;
      const mayGo = now - since >= MIN_ARRIVAL_MS;
      // Those behind it have had even less time.
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

/** Several that hold the same bytes: they are counted once, and until the last one has let go. */
export interface SharedBytes {
  /** Somebody else holds them as well. Returns how to let go, of which only the first time counts. */
  share(): () => void;
}

/** The bytes of one request. */
export class HeldBytes implements SharedBytes {
  readonly #ledger: Bytes;
  #party: Party;
  #bytes = 0;
  #holders = 1;

  constructor(ledger: Bytes, party: Party) {
    this.#ledger = ledger;
    this.#party = party;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get party(): Party {
    return this.#party;
  }

  /** @throws RpcError, HTTP 429 or 503, when there is no room for so many more, naming the limit */
  expect(bytes: number): void {
    this.#ledger.makeRoom(this, bytes);
  }

  /** So many more have arrived. @throws as `expect` does; then they are not counted */
  grow(bytes: number): void {
    this.expect(bytes);
    this.add(bytes);
  }

  /** The same for what is there already, whether or not there is room. */
  add(bytes: number): void {
    this.#count(bytes);
  }

  /** It is known now whose they are. */
  assign(party: Party): void {
    const { bytes } = this;
    this.#count(-bytes);
    this.#party = party;
    this.#count(bytes);
  }

  /** More are to come: see `Bytes.arriving`. */
  arriving(giveUp: (refusal: RpcError) => void): () => void {
    return this.#ledger.arriving(this, giveUp);
  }

  share(): () => void {
    this.#holders += 1;
    return once(() => this.#letGo());
  }

  /** Whoever held them first lets go. Only the first time counts. */
  readonly release = once(() => this.#letGo());

  #letGo(): void {
    this.#holders -= 1;
    if (this.#holders > 0) return;
    this.#count(-this.#bytes);
    this.#holders = -1;
  }

  #count(bytes: number): void {
    // Given up, or done with: what is still on its way is dropped.
    if (this.#holders < 0) return;
    const before = smallPart(this.#bytes);
    this.#bytes += bytes;
    this.#ledger.count(this.#party, bytes, smallPart(this.#bytes) - before);
  }
}

function smallPart(bytes: number): number {
  return bytes <= SMALL_BYTES ? bytes : 0;
}

function refusalOf(reached: Reached): RpcError {
  return limitReached(reached, "bytes");
}
