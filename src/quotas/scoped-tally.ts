import type { LimitsConfig } from "../config/config.ts";
import { keyWithin, type Party, SCOPES, type Scope } from "./party.ts";
import { Tally } from "./tally.ts";

/** What has a limit in numbers, in every scope. */
type Counted = "tasks" | "queued" | "held" | "streams" | "sessions" | "storedBytes";

/** A limit that has been reached. */
export interface Reached {
  readonly scope: Scope;
  readonly max: number;
}

/** How much of something each party has taken, in all scopes at once. */
export class ScopedTally {
  readonly #what: Counted;
  readonly #limits: Pick<LimitsConfig, Scope>;
  readonly #tallies = { perCaller: new Tally(), perRoute: new Tally(), total: new Tally() };

  constructor(what: Counted, limits: Pick<LimitsConfig, Scope>) {
    this.#what = what;
    this.#limits = limits;
  }

  /** How much has been taken in all. */
  get total(): number {
    return this.#tallies.total.of("");
  }

  /** How much has been taken within a scope of the party's. */
  of(party: Party, scope: Scope): number {
    const key = keyWithin(scope, party);
    return key === undefined ? 0 : this.#tallies[scope].of(key);
  }

  /** The narrowest limit that leaves the party nothing; `undefined` when there is none. */
  reachedBy(party: Party): Reached | undefined {
    for (const scope of SCOPES) {
      const key = keyWithin(scope, party);
      const max = this.#limits[scope][this.#what];
      if (key !== undefined && max !== undefined && this.#tallies[scope].of(key) >= max)
        return { scope, max };
    }
    return undefined;
  }

  add(party: Party, amount: number): void {
    for (const scope of SCOPES) {
      const key = keyWithin(scope, party);
      if (key !== undefined) this.#tallies[scope].add(key, amount);
    }
  }
}
