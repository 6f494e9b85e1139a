import type { LimitsConfig, TotalLimits } from "../config/config.ts";

/** The caller for whom something is counted. */
export interface QuotaKey {
  readonly caller: string;
  /** Whether the gateway can tell the caller from others: only then do `perCaller` limits apply to it. */
  readonly isIdentified: boolean;
}

/** Whether a limit applies to each caller alone, or to all together. */
export type Scope = "perCaller" | "total";

/** A limit that has been reached. */
export interface Reached {
  readonly scope: Scope;
  readonly max: number;
}

/** The limits on one thing, as they are whenever somebody asks. */
export function limitsOf(
  limits: Pick<LimitsConfig, Scope>,
  setting: keyof TotalLimits,
): Readonly<Partial<Record<Scope, number | undefined>>> {
  return {
    get perCaller() {
      return limits.perCaller[setting];
    },
    get total() {
      return limits.total[setting];
    },
  };
}

/** Counts how much of something each caller and all callers together have taken. */
export class Counter {
  readonly #limits: Readonly<Partial<Record<Scope, number | undefined>>>;
  readonly #perCaller = new AmountsByKey();
  #total = 0;

  constructor(limits: Readonly<Partial<Record<Scope, number | undefined>>>) {
    this.#limits = limits;
  }

  get total(): number {
    return this.#total;
  }

  /** How much a caller has taken; 0 for an unidentified one. */
  of({ caller, isIdentified }: QuotaKey): number {
    return isIdentified ? this.#perCaller.of(caller) : 0;
  }

  /** The limit that `amount` more would exceed, the caller's own before the total; `undefined` when none. */
  reachedBy(quotaKey: QuotaKey, amount = 1): Reached | undefined {
    const { perCaller, total } = this.#limits;
    if (quotaKey.isIdentified && perCaller !== undefined && this.of(quotaKey) + amount > perCaller)
      return { scope: "perCaller", max: perCaller };
    return total !== undefined && this.#total + amount > total ? { scope: "total", max: total } : undefined;
  }

  /** Counts even beyond a limit; `amount` may be negative. */
  add({ caller, isIdentified }: QuotaKey, amount: number): void {
    if (isIdentified) this.#perCaller.add(caller, amount);
    this.#total += amount;
  }
}

/** Counts amounts by key. A key whose amount is 0 takes no memory. */
export class AmountsByKey {
  readonly #taken = new Map<string, number>();

  /** How many keys have an amount above 0. */
  get size(): number {
    return this.#taken.size;
  }

  of(key: string): number {
    return this.#taken.get(key) ?? 0;
  }

  add(key: string, amount: number): void {
    const taken = this.of(key) + amount;
    if (taken > 0) this.#taken.set(key, taken);
    else this.#taken.delete(key);
  }
}
