import { once } from "../ops/once.ts";
import { stopping, UpstreamFailure } from "./failure.ts";
import { type Patience, WaitingLine } from "./waiting-line.ts";

export interface FairSharesOptions {
  /** How many sessions the server may have. */
  readonly max: number;
  /** Where `max` comes from: `maxSessions: 8`. */
  readonly setting: string;
}

/** So many uses of one caller may wait: each of them is a request that somebody has open. */
const MAX_WAITING = 1_000;

/** Who wants to use a session. */
export interface Sharer {
  readonly caller: string;
  /** Whether the caller is told apart from others. */
  readonly isIdentified: boolean;
}

interface Caller {
  used: number;
  readonly waiting: WaitingLine<void, () => void>;
}

/**
 * Who may use the sessions that a server may have. Calls never have all of them: one is kept for lists, unless there is only one. A caller
 * takes another session for calls only while at least half as many as it has are left to others. Whoever waits is served in turns, one
 * caller after the other, however many calls each of them has. Callers that are not told apart are one of them, and may have all until
 * somebody comes who is told apart: a share would only slow the users of a gateway that knows none. Serving one takes time linear in
 * `max` at the most.
 */
export class FairShares {
  readonly #max: number;
  readonly #setting: string;
  readonly #callers = new Map<string, Caller>();
  /** Those that wait, in the order in which it is their turn. */
  readonly #turns = new Set<string>();
  #used = 0;
  /** Whether anybody has come who is told apart from others. */
  #knowsOthers = false;
  #isClosed = false;

  constructor({ max, setting }: FairSharesOptions) {
    this.#max = Math.max(1, max - 1);
    this.#setting = setting;
  }

  /**
   * The right to use one more session for a call, as soon as it is the caller's turn. Returns how to give it back.
   * @throws UpstreamFailure when the caller loses patience, or has too many waiting
   */
  async take({ caller, isIdentified }: Sharer, patience: Patience = {}): Promise<() => void> {
    if (this.#isClosed) throw stopping();
    if (patience.signal?.aborted) throw patience.signal.reason;
    const own = this.#callers.get(caller) ?? { used: 0, waiting: new WaitingLine<void, () => void>() };
    this.#callers.set(caller, own);
    this.#knowsOthers ||= isIdentified;
    if (own.waiting.size === 0 && this.#mayTake(own)) return this.#give(caller, own);
    if (own.waiting.size >= MAX_WAITING) throw full(this.#setting, "too many wait for one");
    this.#turns.add(caller);
    const late = () => full(this.#setting, `none became free within ${patience.patienceMs} ms`);
    try {
      return await own.waiting.join(undefined, patience, late);
    } finally {
      this.#tidy(caller, own);
    }
  }

  /** Refuses whoever waits, and whoever comes. */
  close(): void {
    this.#isClosed = true;
    for (const { waiting } of this.#callers.values()) for (const { refuse } of waiting) refuse(stopping());
  }

  #mayTake({ used }: Caller): boolean {
    const free = this.#max - this.#used;
    return free > 0 && (!this.#knowsOthers || used <= 2 * (free - 1));
  }

  #give(caller: string, own: Caller): () => void {
    own.used += 1;
    this.#used += 1;
    return once(() => {
      own.used -= 1;
      this.#used -= 1;
      this.#tidy(caller, own);
      this.#serve();
    });
  }

  /** Those that have their share already are passed over: there are no more of them than sessions. */
  #serve(): void {
    for (const caller of this.#turns) {
      if (this.#used >= this.#max) return;
      const own = this.#callers.get(caller);
      const [next] = own?.waiting ?? [];
      if (own === undefined || next === undefined) this.#turns.delete(caller);
      else if (this.#mayTake(own)) {
        this.#turns.delete(caller);
        next.admit(this.#give(caller, own));
        // Behind all others; this loop comes to it again.
        if (own.waiting.size > 0) this.#turns.add(caller);
      }
    }
  }

  #tidy(caller: string, own: Caller): void {
    if (own.waiting.size === 0) this.#turns.delete(caller);
    if (own.used === 0 && own.waiting.size === 0) this.#callers.delete(caller);
  }
}

function full(setting: string, detail: string): UpstreamFailure {
  const message = `The server has as many sessions for calls as it may have (${setting}), and all are in use: ${detail}`;
  return new UpstreamFailure(message, { mayHaveRun: false, status: 503 });
}
