import { stopping } from "./failure.ts";
import type { Session } from "./session.ts";

/** Where a control session gets its session from. */
export interface SessionSource {
  /**
   * Does something on a session that is open and usable, opening one if need be.
   * @param patienceMs how long it may take until the server has room for a session
   * @throws UpstreamFailure when there is none, and whatever `work` throws
   */
  use<T>(work: (session: Session) => T | Promise<T>, patienceMs: number): Promise<T>;
  /** Begins to end a session that nobody else has, and settles when it is gone. The next `use` opens another. */
  giveUp(): Promise<void> | undefined;
  close(): Promise<void>;
}

/** A session for one user's own use, opened when it is needed and again when it is gone. */
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
    // Somebody else may have replaced it while we looked.
    if (this.#session === present) this.#session = undefined;
    void session?.close();
    this.#session ??= this.#open(patienceMs);
    return this.#session;
  }
}
