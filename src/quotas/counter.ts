/** Whose the things are that are counted. */
export interface Party {
  readonly caller: string;
  /** Whether the caller is told apart from others: only then has it a share of its own. */
  readonly isIdentified: boolean;
}

/** Each caller by itself, or all of them together. */
export type Scope = "perCaller" | "total";

/** A limit that has been reached. */
export interface Reached {
  readonly scope: Scope;
  readonly max: number;
}

/** How much of something each caller has taken, and all of them together. */
export class Counter {
  readonly #limits: Readonly<Partial<Record<Scope, number | undefined>>>;
  readonly #perCaller = new Tally();
  #total = 0;

  constructor(limits: Readonly<Partial<Record<Scope, number | undefined>>>) {
    this.#limits = limits;
  }

  get total(): number {
    return this.#total;
  }

  /** How much a caller has taken; 0 for one that is not told apart. */
  of({ caller, isIdentified }: Party): number {
    return isIdentified ? this.#perCaller.of(caller) : 0;
  }

  /** The limit, the caller's own before that of all, that `amount` more would exceed; `undefined` when there is none. */
  reachedBy(party: Party, amount = 1): Reached | undefined {
    const { perCaller, total } = this.#limits;
    if (party.isIdentified && perCaller !== undefined && this.of(party) + amount > perCaller)
      return { scope: "perCaller", max: perCaller };
    return total !== undefined && this.#total + amount > total ? { scope: "total", max: total } : undefined;
  }

  /** Counts, whether or not there is a limit; `amount` may be negative. */
  add({ caller, isIdentified }: Party, amount: number): void {
    if (isIdentified) this.#perCaller.add(caller, amount);
    this.#total += amount;
  }
}

/** How much each has taken of something. Whoever has taken nothing costs nothing. */
export class Tally {
  readonly #taken = new Map<string, number>();

  /** How many have taken anything. */
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
