import { once } from "../ops/once.ts";
import { stopping, UpstreamFailure } from "./failure.ts";
import { type Patience, WaitingLine } from "./waiting-line.ts";

export interface BerthWait<Other> extends Patience {
  /** Asked when it is one's turn: what will do in place of a berth, if there is such a thing by now. */
  readonly instead?: () => Other | undefined;
}

/** A berth with how to leave it, or what was found instead. */
export type Berth<Other> = { readonly leave: () => void } | { readonly instead: Other };

export interface BerthsOptions {
  readonly max: number;
  /** Where `max` comes from: `maxSessions: 8`. */
  readonly setting: string;
  /** Begins to end something that has a berth and is of no use at the moment, and settles when it is gone. Undefined: all is of use. */
  readonly makeRoom: () => Promise<void> | undefined;
}

/** Whoever comes when so many wait is refused: each of them is a request that somebody has open. */
const MAX_WAITING = 10_000;

/** The places that a server has for sessions, whoever they are for: first come, first served. */
export class Berths {
  readonly #options: BerthsOptions;
  readonly #line = new WaitingLine<() => boolean, (() => void) | undefined>();
  #taken = 0;
  /** How many are about to leave to make room. */
  #leaving = 0;
  #isClosed = false;

  constructor(options: BerthsOptions) {
    this.#options = options;
  }

  /**
   * A berth as soon as one is free. With a patience of 0 it is one that is free now, and nobody is made to leave for it.
   * @throws UpstreamFailure when it takes too long, or too many wait
   */
  async take<Other>(wait: BerthWait<Other> = {}): Promise<Berth<Other>> {
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

  /** Serves whoever can be served: to be called when something has become of no use, or of use to somebody else. */
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

  /** Refuses whoever waits, and whoever comes. */
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
  // What a server would say itself that has too much to do.
  const facts = { mayHaveRun: false, status: 503 };
  return new UpstreamFailure(detail === "" ? message : `${message}: ${detail}`, facts);
}
