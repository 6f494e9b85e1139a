import type { Session, SessionHolder } from "./session.ts";

/** The right to use a session alone, until it is released. */
export interface Lease {
  readonly session: Session;
  /** Whether somebody used it before: then the server may have forgotten it meanwhile. */
  readonly isReused: boolean;
  /** Gives the session back, or ends it when it is not known to be quiet. */
  release(state: "quiet" | "doubtful"): void;
}

export interface PoolOptions {
  /** `lease`: idle sessions are used again · `per-call`: never · `single`: one session a key, one call at a time. */
  readonly mode: "lease" | "per-call" | "single";
  readonly open: (holder: SessionHolder) => Promise<Session>;
  readonly idleMs: number;
  readonly maxIdle: number;
}

interface Idle {
  readonly session: Session;
  readonly since: number;
}

/** The sessions of one key, that is of one caller with one declaration of capabilities. */
export class SessionPool {
  readonly #options: PoolOptions;
  /** The one that was used last is at the end, and is used next: the rest may grow old and go. */
  readonly #idle: Idle[] = [];
  readonly #leased = new Set<Session>();
  /** Settles when the holder of the only session is done; for `single`. */
  #turn: Promise<void> = Promise.resolve();
  #users = 0;
  #isClosed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Whether nothing is kept here, and nobody is waiting for something. */
  get isEmpty(): boolean {
    return this.#idle.length === 0 && this.#users === 0;
  }

  /**
   * An idle session, or a new one.
   * @throws UpstreamFailure when none can be opened
   */
  async lease(holder: SessionHolder): Promise<Lease> {
    this.#users += 1;
    const done = await this.#myTurn();
    const leave = () => {
      this.#users -= 1;
      done();
    };
    try {
      return await this.#take(holder, leave);
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Ends what has been idle for too long, or what the server has forgotten. */
  sweep(now: number): void {
    const kept = this.#idle.filter(({ session, since }) => {
      const isFresh = session.isUsable && now - since < this.#options.idleMs;
      if (!isFresh) void session.close();
      return isFresh;
    });
    this.#idle.splice(0, this.#idle.length, ...kept);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const sessions = [...this.#idle.map(({ session }) => session), ...this.#leased];
    this.#idle.length = 0;
    await Promise.all(sessions.map((session) => session.close()));
  }

  /** Waits until the only session is free, for `single`; resolves with how to pass it on. */
  async #myTurn(): Promise<() => void> {
    if (this.#options.mode !== "single") return () => {};
    const previous = this.#turn;
    let done = () => {};
    this.#turn = new Promise((resolve) => {
      done = resolve;
    });
    await previous;
    return done;
  }

  async #take(holder: SessionHolder, leave: () => void): Promise<Lease> {
    const idle = this.#popUsable();
    const session = idle ?? (await this.#options.open(holder));
    session.attach(holder);
    this.#leased.add(session);
    let isReleased = false;
    const release: Lease["release"] = (state) => {
      if (isReleased) return;
      isReleased = true;
      this.#leased.delete(session);
      this.#takeBack(session, state);
      leave();
    };
    return { session, isReused: idle !== undefined, release };
  }

  #popUsable(): Session | undefined {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.session.isUsable) return idle.session;
      void idle.session.close();
    }
    return undefined;
  }

  #takeBack(session: Session, state: "quiet" | "doubtful"): void {
    session.attach(undefined);
    const isKept =
      state === "quiet" && session.isUsable && this.#options.mode !== "per-call" && !this.#isClosed;
    if (!isKept || this.#idle.length >= this.#options.maxIdle) void session.close();
    else this.#idle.push({ session, since: Date.now() });
  }
}
