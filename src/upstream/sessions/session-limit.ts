import { once } from "../../lib/once.ts";
import { stopping, UpstreamFailure } from "../failure.ts";
import { type Patience, WaitingLine } from "./waiting-line.ts";

export interface PlaceWait<Other> extends Patience {
  /** Called when it is this waiter's turn: returns something that serves in place of a place, if there is any by now. */
  readonly instead?: () => Other | undefined;
}

/** A place with the function that frees it, or what `instead` gave. */
export type Place<Other> = { readonly leave: () => void } | { readonly instead: Other };

export interface SessionLimitOptions {
  readonly max: number;
  /** Where `max` comes from: `maxSessions: 8`. */
  readonly setting: string;
  /** Begins to end an idle session and settles when it is gone. Undefined: no session is idle. */
  readonly makeRoom: () => Promise<void> | undefined;
}

/** More waiters than this are refused: each is a request that a client holds open. */
const MAX_WAITING = 10_000;

/** The places of a server. A place is the right to have one session there, for any caller: first come, first served. */
export class SessionLimit {
  readonly #options: SessionLimitOptions;
  readonly #line = new WaitingLine<() => boolean, (() => void) | undefined>();
  #taken = 0;
  /** How many sessions are being ended to make room. */
  #leaving = 0;
  #isClosed = false;

  constructor(options: SessionLimitOptions) {
    this.#options = options;
  }

  /** How many places are taken. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Takes a place as soon as one is free. With a patience of 0, only a place that is free now: no session is ended for it.
   * @throws UpstreamFailure when it takes too long, or too many wait
   */
  async take<Other>(wait: PlaceWait<Other>): Promise<Place<Other>> {
    const { max, setting } = this.#options;
    if (this.#isClosed) throw stopping();
    if (wait.signal?.aborted) throw wait.signal.reason;
    if (this.#line.size === 0 && this.#taken < max) return { leave: this.#occupy() };
    const isOverrun = this.#line.size >= MAX_WAITING;
    if (isOverrun || wait.patienceMs === 0) throw full(setting, isOverrun ? "too many wait for one" : "");
    const found: { other?: Other | undefined } = {};
    const hasOther = () => {
      found.other = wait.instead?.();
      return found.other !== undefined;
    };
    const late = () => full(setting, `none became free within ${wait.patienceMs} ms`);
    const admitted = this.#line.join(hasOther, wait, late);
    this.review();
    const leave = await admitted;
    return leave === undefined ? { instead: found.other as Other } : { leave };
  }

  /** Serves the waiters that can be served. Call this when a session has become idle, or usable for another caller. */
  review(): void {
    for (const { who: hasOther, admit } of this.#line) {
      if (hasOther()) admit(undefined);
      else if (this.#taken < this.#options.max) admit(this.#occupy());
      else break;
    }
    while (this.#line.size > this.#leaving) {
      const gone = this.#options.makeRoom();
      if (gone === undefined) return;
      this.#leaving += 1;
      void gone.finally(() => {
        this.#leaving -= 1;
        this.review();
      });
    }
  }

  /** Refuses those that wait, and all later ones. */
  close(): void {
    this.#isClosed = true;
    for (const { refuse } of this.#line) refuse(stopping());
  }

  #occupy(): () => void {
    this.#taken += 1;
    return once(() => {
      this.#taken -= 1;
      this.review();
    });
  }
}

function full(setting: string, detail: string): UpstreamFailure {
  const message = `The server has as many sessions as it may have (${setting}), and all are in use`;
  // The status with which an overloaded server would answer itself.
  const facts = { mayHaveRun: false, status: 503 };
  return new UpstreamFailure(detail === "" ? message : `${message}: ${detail}`, facts);
}
