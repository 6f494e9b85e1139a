import { UpstreamFailure } from "./failure.ts";
import type { Lease, SessionUser } from "./pool.ts";
import type { Session, SessionHolder } from "./session.ts";
import type { SessionSource } from "./source.ts";

/** The session that there is. */
interface Present {
  readonly key: string;
  readonly session: Promise<Session>;
  /** Who hears what the server sends while no call has the session. */
  listener: SessionHolder | undefined;
}

interface Waiting {
  readonly key: string;
  admit(): void;
}

/** How long a list may wait for a session that somebody else needs for a call. */
const PATIENCE_MS = 60_000;

/**
 * The only session of a server that cannot have two: some keep one protocol object for all. Everything goes over it, one
 * call at a time; whoever needs it with other credentials or capabilities waits until nobody uses it, and then has it
 * replaced.
 */
export class Solo {
  #present: Present | undefined;
  /** What uses the session at the moment: at most one call, and any number of lists with the same key. */
  #users = 0;
  /** What its users have in common; the session itself may still be the last one's. */
  #key = "";
  #call: SessionHolder | undefined;
  #turn: Promise<void> = Promise.resolve();
  readonly #waiting = new Set<Waiting>();
  #isClosed = false;

  /** The session for one call. @throws UpstreamFailure */
  async lease(user: SessionUser, holder: SessionHolder): Promise<Lease> {
    const previous = this.#turn;
    let done = () => {};
    this.#turn = new Promise((resolve) => {
      done = resolve;
    });
    await previous;
    await this.#enter(user.key);
    const before = this.#present;
    let isReleased = false;
    const leave = () => {
      isReleased = true;
      this.#call = undefined;
      this.#leave();
      done();
    };
    try {
      this.#call = holder;
      const session = await this.#opened(user, holder);
      session.attach(this.#shared(holder));
      const release: Lease["release"] = (state) => {
        if (isReleased) return;
        session.attach(this.#present?.listener);
        if (state === "doubtful") void session.close();
        leave();
      };
      return { session, isReused: this.#present === before, release };
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** What changes at the server is news to whoever listens, and a call has the only session that tells of it. */
  #shared(call: SessionHolder): SessionHolder {
    return {
      onRequest: (request, session) => call.onRequest(request, session),
      onNotification: (notification) => {
        call.onNotification(notification);
        this.#present?.listener?.onNotification(notification);
      },
    };
  }

  /** The session for everything that is no call; `listener` hears of changes as long as the session is its own. */
  source(user: SessionUser, listener: SessionHolder): SessionSource {
    return {
      use: async (work) => {
        await this.#enter(user.key, PATIENCE_MS);
        try {
          const session = await this.#opened(user, listener);
          if (this.#present !== undefined) this.#present.listener = listener;
          if (this.#call === undefined) session.attach(listener);
          return await work(session);
        } finally {
          this.#leave();
        }
      },
      close: async () => {
        if (this.#present?.listener === listener) this.#present.listener = undefined;
      },
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { admit } of this.#waiting) admit();
    const session = await this.#present?.session.catch(() => undefined);
    await session?.close();
  }

  /** First come, first served, so that nobody waits for ever. */
  #enter(key: string, patienceMs?: number): Promise<void> {
    if (this.#waiting.size === 0 && this.#mayEnter(key)) {
      this.#admit(key);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        key,
        admit: () => {
          clearTimeout(timer);
          this.#waiting.delete(waiting);
          this.#admit(key);
          resolve();
        },
      };
      const giveUp = () => {
        this.#waiting.delete(waiting);
        reject(new UpstreamFailure("The server's only session is busy with a call", { mayHaveRun: false }));
      };
      const timer = patienceMs === undefined ? undefined : setTimeout(giveUp, patienceMs);
      this.#waiting.add(waiting);
    });
  }

  #mayEnter(key: string): boolean {
    return this.#users === 0 || this.#key === key;
  }

  #admit(key: string): void {
    this.#users += 1;
    this.#key = key;
  }

  #leave(): void {
    this.#users -= 1;
    for (const waiting of this.#waiting) {
      if (!this.#mayEnter(waiting.key)) return;
      waiting.admit();
    }
  }

  async #opened(user: SessionUser, holder: SessionHolder): Promise<Session> {
    if (this.#isClosed) throw new UpstreamFailure("The gateway is stopping", { mayHaveRun: false });
    const present = this.#present;
    const session = await present?.session.catch(() => undefined);
    if (present !== undefined && present.key === user.key && session?.isUsable) return session;
    // Others with the same key may have replaced it while we looked.
    if (this.#present === present) {
      const opening = this.#replace(session, () => user.open(holder));
      opening.catch(() => {});
      this.#present = { key: user.key, session: opening, listener: undefined };
    }
    return (this.#present as Present).session;
  }

  /** The server has to have forgotten the old one before it will take a new one. */
  async #replace(old: Session | undefined, open: () => Promise<Session>): Promise<Session> {
    await old?.close();
    return open();
  }
}
