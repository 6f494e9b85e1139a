import { UpstreamFailure } from "./failure.ts";
import type { Session } from "./session.ts";

/** Where a control session gets its session from. */
export interface SessionSource {
  /**
   * Does something on a session that is open and usable, opening one if need be.
   * @throws UpstreamFailure when there is none, and whatever `work` throws
   */
  use<T>(work: (session: Session) => T | Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** A session for one user's own use, opened when it is needed and again when it is gone. */
export class OwnSession implements SessionSource {
  readonly #open: () => Promise<Session>;
  #session: Promise<Session> | undefined;
  #isClosed = false;

  constructor(open: () => Promise<Session>) {
    this.#open = open;
  }

  async use<T>(work: (session: Session) => T | Promise<T>): Promise<T> {
    return work(await this.#opened());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const session = await this.#session?.catch(() => undefined);
    await session?.close();
  }

  async #opened(): Promise<Session> {
    if (this.#isClosed) throw new UpstreamFailure("The gateway is stopping", { mayHaveRun: false });
    const present = this.#session;
    const session = await present?.catch(() => undefined);
    if (session?.isUsable) return session;
    // Somebody else may have replaced it while we looked.
    if (this.#session === present) this.#session = undefined;
    void session?.close();
    this.#session ??= this.#open();
    return this.#session;
  }
}
