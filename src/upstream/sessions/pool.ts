import { steadyNow } from "../../lib/clock.ts";
import type { Signal } from "../../lib/signal.ts";
import type { CallSession, ResumingSession, Session, SessionHolder } from "./session.ts";
import type { PlaceWait } from "./session-limit.ts";

/** For whom a session is opened, and how. Users with equal keys may use each other's sessions, one after the other. */
export interface SessionUser {
  readonly key: string;
  /** The caller that takes turns with others. Absent: all users with the key count as one. */
  readonly caller?: string;
  /** Opens a session as soon as the server has room for it; calls `onLost` when the server has forgotten it. @throws UpstreamFailure */
  readonly open: (holder: SessionHolder, wait: PlaceWait<Session>, onLost?: () => void) => Promise<Session>;
}

/** The right to use a session alone, until it is released. */
export interface Lease {
  readonly session: CallSession;
  /** Whether another call used the session before: then the server may have forgotten it meanwhile. */
  readonly isReused: boolean;
  /** Gives the session back, or ends it unless it is known to be quiet. */
  release(state: LeaseEnd): void;
}

/**
 * The state of a session when its lease ends. `busy`: the server may still be busy with the call; `lost`: the server has forgotten the
 * session; `handedOff`: another replica continues in it, and the gateway does not tell the server anything.
 */
export type LeaseEnd = "quiet" | "busy" | "lost" | "handedOff";

/** Leases a session for a call; gives up when `over` aborts. @throws UpstreamFailure */
export type Leasing<L extends Lease> = (holder: SessionHolder, over: Signal) => Promise<L>;

/** A lease of a session in which another replica has sent a request. */
export interface RejoinedLease extends Lease {
  readonly session: ResumingSession;
}

export interface PoolOptions {
  readonly idleMs: number;
  /** How many idle sessions to keep. 0: no session is used twice. */
  readonly maxIdle: number;
  /** Called when a session becomes idle. */
  readonly onIdle?: () => void;
}

interface Idle {
  readonly key: string;
  readonly session: Session;
  readonly since: number;
}

/** The sessions that calls use, each for one call at a time. */
export class SessionPool {
  readonly #options: PoolOptions;
  /** The session that was used last is at the end and is used next, so that the others can expire. */
  #idle: Idle[] = [];
  readonly #leased = new Set<Session>();
  #isClosed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /**
   * Leases an idle session of the user's, or a new one.
   * @param signal aborted, with the failure that says why, when the call does not want it any more: then no session is opened
   * @throws UpstreamFailure when none can be opened
   */
  async lease({ key, open }: SessionUser, holder: SessionHolder, signal?: Signal): Promise<Lease> {
    let idle = this.#takeIdle(key);
    const instead = () => {
      idle = this.#takeIdle(key);
      return idle;
    };
    const session = idle ?? (await open(holder, { signal, instead }));
    session.attach(holder);
    this.#leased.add(session);
    const release: Lease["release"] = (state) => {
      if (this.#leased.delete(session)) this.#takeBack(key, session, state);
    };
    return { session, isReused: session === idle, release };
  }

  /** Begins to end the least useful idle session, if there is one, and settles when it is gone. */
  giveUp(): Promise<void> | undefined {
    const lost = this.#idle.findIndex(({ session }) => !session.isUsable);
    const [idle] = this.#idle.splice(Math.max(lost, 0), 1);
    return idle?.session.close();
  }

  /** Gives a session up without ending it: its new owner ends it. */
  forsake(session: Session): void {
    this.#leased.delete(session);
    this.#idle = this.#idle.filter((idle) => idle.session !== session);
  }

  /** Ends idle sessions that are too old, or that the server has forgotten. @param now in milliseconds since the epoch */
  sweep(now: number): void {
    const isFresh = ({ session, since }: Idle) => session.isUsable && now - since < this.#options.idleMs;
    for (const idle of this.#idle) if (!isFresh(idle)) void idle.session.close();
    this.#idle = this.#idle.filter(({ session }) => session.isUsable);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const sessions = [...this.#idle.map(({ session }) => session), ...this.#leased];
    this.#idle = [];
    await Promise.all(sessions.map((session) => session.close()));
  }

  #takeIdle(key: string): Session | undefined {
    for (;;) {
      const index = this.#idle.findLastIndex((idle) => idle.key === key);
      const [idle] = index === -1 ? [] : this.#idle.splice(index, 1);
      if (idle === undefined || idle.session.isUsable) return idle?.session;
      void idle.session.close();
    }
  }

  #takeBack(key: string, session: Session, state: LeaseEnd): void {
    session.attach(undefined);
    if (state === "handedOff") return void session.close(state);
    if (state !== "quiet" || !session.isUsable || this.#isClosed) return void session.close();
    this.#idle.push({ key, session, since: steadyNow() });
    if (this.#idle.length > this.#options.maxIdle) void this.#idle.shift()?.session.close();
    this.#options.onIdle?.();
  }
}

/** The lease, whose end somebody else wants to hear of as well. */
export function released(lease: Lease, over: () => void): Lease {
  const release: Lease["release"] = (state) => {
    over();
    lease.release(state);
  };
  return { session: lease.session, isReused: lease.isReused, release };
}

/** The lease with these headers on every request: its session was opened without them. */
export function withHeaders(lease: Lease, headers: Readonly<Record<string, string>>): Lease {
  const { session } = lease;
  return {
    ...lease,
    session: {
      request: (method, params, listener) =>
        session.request(method, params, { ...listener, headers: { ...headers, ...listener?.headers } }),
      notify: (method, params) => session.notify(method, params),
      respond: (id, answer) => session.respond(id, answer),
      hear: (message) => session.hear(message),
      setLogLevel: (level) => session.setLogLevel(level),
    },
  };
}
