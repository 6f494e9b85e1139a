import { once } from "../../lib/once.ts";
import { stopping, UpstreamFailure } from "../failure.ts";
import { type Patience, WaitingLine } from "./waiting-line.ts";

export interface FairSharesOptions {
  /** The number of sessions that the server may have. */
  readonly max: number;
  /** Where `max` comes from: `maxSessions: 8`. */
  readonly setting: string;
}

/** How many calls of one caller may wait: each is a request that the client holds open. */
const MAX_WAITING = 1_000;

/** The caller that wants to use a session. */
export interface Sharer {
  readonly caller: string;
  /** Whether the caller is identified. Absent: no. */
  readonly isIdentified?: boolean | undefined;
}

interface Caller {
  used: number;
  readonly waiting: WaitingLine<void, () => void>;
}

/**
 * Shares the sessions of a server among callers: those for calls, and those that clients open themselves. Together these are never all
 * sessions: one is kept for lists, unless there is only one. A caller gets another session only while at least half as many as it has are
 * left to others. Waiting callers take turns, however many calls each has waiting. Unidentified callers count as one caller, which may have
 * all sessions until an identified one comes: a share would only slow the users of a gateway that identifies nobody. Serving one call takes
 * time linear in `max` at most.
 */
export class FairShares {
  readonly #max: number;
  readonly #setting: string;
  readonly #callers = new Map<string, Caller>();
  /** The waiting callers, in the order of their turns. */
  readonly #turns = new Set<string>();
  #used = 0;
  /** Whether an identified caller has come. */
  #knowsOthers = false;
  #isClosed = false;

  constructor({ max, setting }: FairSharesOptions) {
    this.#max = Math.max(1, max - 1);
    this.#setting = setting;
  }

  /**
   * Grants one more session, as soon as it is the caller's turn. Returns a function that gives it back.
   * @throws UpstreamFailure when the caller loses patience, or has too many calls waiting
   */
  async take({ caller, isIdentified = false }: Sharer, patience: Patience): Promise<() => void> {
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

  /**
   * Like `take`, for a session that `open` opens: `open` gets the function that gives it back, to be called when the session is gone.
   * @throws as `take` does, and whatever `open` throws
   */
  async sharing<T>(
    sharer: Sharer,
    patience: Patience,
    open: (giveBack: () => void) => Promise<T>,
  ): Promise<T> {
    const giveBack = await this.take(sharer, patience);
    try {
      return await open(giveBack);
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  /** Refuses the waiting calls, and all later ones. */
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

  /** Passes over callers that have their share already: there are no more of them than sessions. */
  #serve(): void {
    for (const caller of this.#turns) {
      if (this.#used >= this.#max) return;
      const own = this.#callers.get(caller);
      const [next] = own?.waiting ?? [];
      if (own === undefined || next === undefined) this.#turns.delete(caller);
      else if (this.#mayTake(own)) {
        this.#turns.delete(caller);
        next.admit(this.#give(caller, own));
        // To the end of the turns; this loop reaches it again.
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
