import type { LimitsConfig } from "../config/config.ts";
import { Counter, limitsOf, type QuotaKey, type Scope } from "./counter.ts";
import { limitReached } from "./refusal.ts";

export interface StoredBytesOptions {
  readonly limits: Pick<LimitsConfig, Scope>;
  /** Whole milliseconds that never go back. */
  readonly clock: () => number;
}

/** The stored bytes that expire together. */
interface Page {
  readonly endsAt: number;
  readonly entries: Map<string, { readonly quotaKey: QuotaKey; bytes: number }>;
}

const MIN_PAGE_MS = 1_000;
/** With 8 to 16 pages per lifetime it counts nothing for more than an eighth longer than the store keeps it. */
const PAGES_IN_A_LIFE = 16;
/** How many entries (callers by page) it keeps; beyond that it counts only the total. */
const MAX_ENTRIES = 200_000;
const OTHERS: QuotaKey = { caller: "", isIdentified: false };

/**
 * Counts the bytes of arguments and results that this process has stored and that have not expired. Other gateways on the same store have
 * counts of their own. It does not count what the store held before this process began: that would mean reading the whole store.
 */
export class StoredBytes {
  readonly #options: StoredBytesOptions;
  readonly #stored: Counter;
  /** By expiry. There are few: long lifetimes end on a coarser grid. */
  readonly #pages = new Map<number, Page>();
  #entries = 0;
  #nextEnd = Number.POSITIVE_INFINITY;

  constructor(options: StoredBytesOptions) {
    this.#options = options;
    this.#stored = new Counter(limitsOf(options.limits, "storedBytes"));
  }

  /** How many bytes all callers have stored. */
  get bytes(): number {
    this.#turn();
    return this.#stored.total;
  }

  /** @throws RpcError, naming the limit, when there is no room for another result */
  check(quotaKey: QuotaKey): void {
    this.#turn();
    const reached = this.#stored.reachedBy(quotaKey);
    if (reached === undefined) return;
    const inMs = Math.max(MIN_PAGE_MS, this.#nextEnd - this.#options.clock());
    throw limitReached(reached, "storedBytes", inMs);
  }

  /** Counts stored bytes for `keptForMs`. */
  note(quotaKey: QuotaKey, bytes: number, keptForMs: number): void {
    this.#turn();
    const page = this.#page(keptForMs);
    const key = keyOf(quotaKey);
    const isKnown = page.entries.has(key) || this.#entries < MAX_ENTRIES;
    const [owner, name] = isKnown ? [quotaKey, key] : [OTHERS, keyOf(OTHERS)];
    const entry = page.entries.get(name) ?? { quotaKey: owner, bytes: 0 };
    if (!page.entries.has(name)) {
      page.entries.set(name, entry);
      this.#entries += 1;
    }
    entry.bytes += bytes;
    this.#stored.add(owner, bytes);
  }

  #page(keptForMs: number): Page {
    const width =
      MIN_PAGE_MS * 2 ** Math.max(0, Math.ceil(Math.log2(keptForMs / PAGES_IN_A_LIFE / MIN_PAGE_MS)));
    const endsAt = Math.ceil((this.#options.clock() + keptForMs) / width) * width;
    const page = this.#pages.get(endsAt) ?? { endsAt, entries: new Map() };
    this.#pages.set(endsAt, page);
    this.#nextEnd = Math.min(this.#nextEnd, endsAt);
    return page;
  }

  /** Drops expired pages. */
  #turn(): void {
    const now = this.#options.clock();
    if (now < this.#nextEnd) return;
    this.#nextEnd = Number.POSITIVE_INFINITY;
    for (const { endsAt, entries } of this.#pages.values()) {
      if (endsAt > now) {
        this.#nextEnd = Math.min(this.#nextEnd, endsAt);
        continue;
      }
      for (const { quotaKey, bytes } of entries.values()) this.#stored.add(quotaKey, -bytes);
      this.#entries -= entries.size;
      this.#pages.delete(endsAt);
    }
  }
}

function keyOf(quotaKey: QuotaKey): string {
  return JSON.stringify([quotaKey.caller, quotaKey.isIdentified]);
}
