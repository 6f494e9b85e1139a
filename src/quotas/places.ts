import type { LimitsConfig } from "../config/config.ts";
import { keyWithin, type Party, SCOPES } from "./party.ts";
import { limitReached } from "./refusal.ts";
import { Tally } from "./tally.ts";

/** What has places that are taken and given back. */
export type Placed = "tasks" | "queued" | "held" | "streams" | "sessions";

/** The places of one kind: a party takes one in each scope, or none. */
export class Places {
  readonly #what: Placed;
  readonly #limits: Pick<LimitsConfig, (typeof SCOPES)[number]>;
  readonly #tallies = { perCaller: new Tally(), perRoute: new Tally(), total: new Tally() };

  constructor(what: Placed, limits: Pick<LimitsConfig, (typeof SCOPES)[number]>) {
    this.#what = what;
    this.#limits = limits;
  }

  /** How many are taken in all. */
  get size(): number {
    return this.#tallies.total.of("");
  }

  /** @throws RpcError when there is no place left, naming the limit */
  check(party: Party): void {
    for (const scope of SCOPES) {
      const key = keyWithin(scope, party);
      const max = this.#limits[scope][this.#what];
      if (key !== undefined && max !== undefined && this.#tallies[scope].of(key) >= max)
        throw limitReached(scope, this.#what, max);
    }
  }

  /** Takes a place whether or not there is one left. Returns how to give it back, of which only the first time counts. */
  add(party: Party): () => void {
    this.#count(party, 1);
    let isTaken = true;
    return () => {
      if (isTaken) this.#count(party, -1);
      isTaken = false;
    };
  }

  #count(party: Party, amount: number): void {
    for (const scope of SCOPES) {
      const key = keyWithin(scope, party);
      if (key !== undefined) this.#tallies[scope].add(key, amount);
    }
  }
}
