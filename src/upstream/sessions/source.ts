import { stopping } from "../failure.ts";
import { OnlyOneSession } from "./one-session.ts";
import type { Session } from "./session.ts";

/** Provides the session of a control session. */
export interface SessionSource {
  /**
   * Runs `work` on an open and usable session, opening one if needed.
   * @param patienceMs how long to wait until the server has room for a session
   * @throws UpstreamFailure when there is none, and whatever `work` throws
   */
  use<T>(work: (session: Session) => T | Promise<T>, patienceMs: number): Promise<T>;
  /** Begins to end the session if nobody else uses it, and settles when it is gone. The next `use` opens another. */
  giveUp(): Promise<void> | undefined;
  close(): Promise<void>;
}

/** A session for one user alone, opened when it is needed and again when it is gone. */
export class OwnSession implements SessionSource {
  readonly #open: (patienceMs: number) => Promise<Session>;
  #session: Promise<Session> | undefined;
  #isClosed = false;

  constructor(open: (patienceMs: number) => Promise<Session>) {
    this.#open = open;
  }

  async use<T>(work: (session: Session) => T | Promise<T>, patienceMs: number): Promise<T> {
    return work(await this.#opened(patienceMs));
  }

  giveUp(): Promise<void> | undefined {
    const present = this.#session;
    this.#session = undefined;
    return present?.then(
      (session) => session.close(),
      () => {},
    );
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const session = await this.#session?.catch(() => undefined);
    await session?.close();
  }

  async #opened(patienceMs: number): Promise<Session> {
    if (this.#isClosed) throw stopping();
    const present = this.#session;
    const session = await present?.catch(() => undefined);
    if (session?.isUsable) return session;
    // Another request may have replaced it during the wait.
    if (this.#session === present) this.#session = undefined;
    void session?.close();
    this.#session ??= this.#open(patienceMs);
    return this.#session;
  }
}

/** A session for one user alone, until the server turns out to allow one session for all only. */
export class EitherSession implements SessionSource {
  readonly #shared: () => SessionSource | undefined;
  readonly #own: SessionSource;

  /** @param shared the source of the session for all, once there is one */
  constructor(shared: () => SessionSource | undefined, own: SessionSource) {
    this.#shared = shared;
    this.#own = own;
  }

  async use<T>(work: (session: Session) => T | Promise<T>, patienceMs: number): Promise<T> {
    const shared = this.#shared();
    if (shared !== undefined) return shared.use(work, patienceMs);
    try {
      return await this.#own.use(work, patienceMs);
    } catch (error) {
      // The server refused the session, so `work` has not begun.
      const instead = error instanceof OnlyOneSession ? this.#shared() : undefined;
      if (instead === undefined) throw error;
      return instead.use(work, patienceMs);
    }
  }

  /** The user's own session may have become the one for all. */
  giveUp(): Promise<void> | undefined {
    return (this.#shared() ?? this.#own).giveUp();
  }

  async close(): Promise<void> {
    await (this.#shared() ?? this.#own).close();
  }
}
