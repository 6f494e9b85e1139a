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
  readonly open: (holder: SessionHolder) => Promise<Session>;
  readonly idleMs: number;
  /** 0: none is used twice. */
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
    try {
      return await this.#take(holder);
    } catch (error) {
      this.#users -= 1;
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

  async #take(holder: SessionHolder): Promise<Lease> {
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
      this.#users -= 1;
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
    const isKept = state === "quiet" && session.isUsable && !this.#isClosed;
    if (!isKept || this.#idle.length >= this.#options.maxIdle) void session.close();
    else this.#idle.push({ session, since: Date.now() });
  }
}
