import type { LimitsConfig } from "../config/config.ts";
import type { Party, Scope } from "./party.ts";
import { limitReached } from "./refusal.ts";
import { ScopedTally } from "./scoped-tally.ts";

/** What has places that are taken and given back. */
export type Placed = "tasks" | "queued" | "held" | "streams" | "sessions";

/** The places of one kind: a party takes one in each scope, or none. */
export class Places {
  readonly #what: Placed;
  readonly #taken: ScopedTally;

  constructor(what: Placed, limits: Pick<LimitsConfig, Scope>) {
    this.#what = what;
    this.#taken = new ScopedTally(what, limits);
  }

  /** How many are taken in all. */
  get size(): number {
    return this.#taken.total;
  }

  /** How many are taken of a scope that the party is in; 0 where it is in none. */
  takenBy(party: Party, scope: Scope): number {
    return this.#taken.of(party, scope);
  }

  /** @throws RpcError when there is no place left, naming the limit */
  check(party: Party): void {
    const reached = this.#taken.reachedBy(party);
    if (reached !== undefined) throw limitReached(reached.scope, this.#what, reached.max);
  }

  /** Takes a place whether or not there is one left. Returns how to give it back, of which only the first time counts. */
  add(party: Party): () => void {
    this.#taken.add(party, 1);
    let isTaken = true;
    return () => {
      if (isTaken) this.#taken.add(party, -1);
      isTaken = false;
    };
  }
}
