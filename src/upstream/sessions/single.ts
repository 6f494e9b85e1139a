import { setTimeout as sleep } from "node:timers/promises";
import type { Signal } from "../../lib/signal.ts";
import { stopping, toFailure, UpstreamFailure } from "../failure.ts";
import { anothersSession, takesAnotherLater } from "./one-session.ts";
import type { Lease, SessionUser } from "./pool.ts";
import type { Session, SessionHolder } from "./session.ts";
import type { SessionSource } from "./source.ts";
import { type Patience, patiently, WaitingLine } from "./waiting-line.ts";

/** How long a server that exited with its session may take to be back. */
const RESTART_MS = 5_000;
const LOOK_AGAIN_MS = 250;

/** The present session. */
interface Present {
  readonly key: string;
  readonly session: Promise<Session>;
  /** Aborted when no request wants the session any more: then it is not opened, unless opening has begun. */
  readonly unwanted: AbortController;
  listener: Listener | undefined;
}

/** Receives what the server sends while no call has the session, and hears when the session is gone. */
interface Listener {
  readonly holder: SessionHolder;
  readonly onLost: () => void;
}

/** The requests of one caller that wait for the session with the same key. */
interface Line {
  readonly calls: WaitingLine<void, void>;
  readonly others: WaitingLine<void, void>;
}

/**
 * The only session of a server that cannot have two: some keep one protocol object for all clients. Everything goes over it, one call at a
 * time. A request with other credentials or capabilities waits until the session is free, and then has it replaced. Callers take turns: one
 * turn serves one call, however many wait, and everything other than calls that waits for the same session.
 */
export class SingleSession {
  /** Whether the session is never ended, because the server would not take another one afterwards. */
  readonly #isKept: boolean;
  #present: Present | undefined;
  /** How many requests use the session: at most one call, and any number of others with the same key. */
  #users = 0;
  /** The key that its users share; the session itself may still be the previous key's. */
  #key = "";
  #call: SessionHolder | undefined;
  #hasCall = false;
  /** Whether a call that began before the session was adopted still uses it. */
  #isLent = false;
  /** The waiting requests by caller and key, in the order of their turns. */
  readonly #turns = new Map<string, Map<string, Line>>();
  readonly #onIdle: () => void;
  #isClosed = false;

  /**
   * @param onIdle called when no request uses the session any more
   * @param isKept whether the session is never ended in favour of another
   */
  constructor(onIdle: () => void = () => {}, isKept = false) {
    this.#onIdle = onIdle;
    this.#isKept = isKept;
  }

  /**
   * Takes over an open session.
   * @param free settles when the call that uses it is over. Absent: no call uses it
   */
  adopt(key: string, session: Session, free?: Promise<void>): void {
    const opened = Promise.resolve(session);
    this.#present = { key, session: opened, unwanted: new AbortController(), listener: undefined };
    if (free === undefined) return;
    this.#isLent = true;
    this.#admit(key, true);
    void free.then(() => {
      this.#isLent = false;
      session.attach(this.#present?.listener?.holder);
      this.#leave(true);
    });
  }

  /**
   * Leases the session for one call.
   * @param signal aborted, with the failure that says why, when the call does not want it any more
   * @throws UpstreamFailure
   */
  async lease(user: SessionUser, holder: SessionHolder, signal?: Signal): Promise<Lease> {
    await this.#enter(user, true, { signal });
    const before = this.#present;
    let isReleased = false;
    const leave = () => {
      isReleased = true;
      this.#call = undefined;
      this.#leave(true);
    };
    try {
      this.#call = holder;
      const session = await this.#opened(user, holder, { signal });
      session.attach(this.#shared(holder));
      const release: Lease["release"] = (state) => {
        if (isReleased) return;
        session.attach(this.#present?.listener?.holder);
        if (state === "handedOff") void session.close(state);
        if (state === "lost" || (state === "busy" && !this.#isKept)) void session.close();
        leave();
      };
      return { session, isReused: this.#present === before, release };
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Passes a call's notifications to the listener too: the call has the only session on which the server announces changes. */
  #shared(call: SessionHolder): SessionHolder {
    return {
      onRequest: (request, session) => call.onRequest(request, session),
      onNotification: (notification) => {
        call.onNotification(notification);
        this.#present?.listener?.holder.onNotification(notification);
      },
    };
  }

  /**
   * The source of the session for everything other than calls. `holder` receives changes as long as the session is its own. `onLost` is
   * called when the server has forgotten the session, or when it was ended to make room for a client's own, whichever request had opened it.
   */
  source(user: SessionUser, holder: SessionHolder, onLost: () => void): SessionSource {
    const listener: Listener = { holder, onLost };
    return {
      use: async (work, patienceMs) => {
        await this.#enter(user, false, { patienceMs });
        try {
          const session = await this.#opened(user, holder, { patienceMs });
          if (this.#present !== undefined) this.#present.listener = listener;
          if (this.#call === undefined && !this.#isLent) session.attach(holder);
          return await work(session);
        } finally {
          this.#leave(false);
        }
      },
      giveUp: () => undefined,
      close: async () => {
        if (this.#present?.listener === listener) this.#present.listener = undefined;
      },
    };
  }

  /** Begins to end the session if no request uses it, and settles when it is gone. */
  giveUp(): Promise<void> | undefined {
    if (this.#users > 0 || this.#isKept) return undefined;
    const present = this.#present;
    this.#present = undefined;
    present?.unwanted.abort(busy());
    present?.listener?.onLost();
    return present?.session.then(
      (session) => session.close(),
      () => {},
    );
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const lines of this.#turns.values())
      for (const { calls, others } of lines.values())
        for (const { refuse } of [...calls, ...others]) refuse(stopping());
    const session = await this.#present?.session.catch(() => undefined);
    await session?.close();
  }

  /** Waits for the request's turn. A request that can use the session beside the present call does not wait: that delays nobody. */
  async #enter({ key, caller = key }: SessionUser, isCall: boolean, patience: Patience): Promise<void> {
    if (this.#isKept) await this.#refuseOthers(key);
    if (!isCall && this.#hasCall && this.#key === key) return this.#admit(key, isCall);
    const lines = this.#turns.get(caller) ?? new Map<string, Line>();
    const line = lines.get(key) ?? { calls: new WaitingLine(), others: new WaitingLine() };
    this.#turns.set(caller, lines.set(key, line));
    const admitted = (isCall ? line.calls : line.others).join(undefined, patience, busy);
    this.#serve();
    try {
      await admitted;
    } catch (error) {
      // The request that lost patience may have blocked others.
      this.#serve();
      throw error;
    }
  }

  /** @throws UpstreamFailure at once if the session has another key and is never ended: no turn would help */
  async #refuseOthers(key: string): Promise<void> {
    const present = this.#present;
    if (present === undefined || present.key === key) return;
    const session = await present.session.catch(() => undefined);
    if (session?.isUsable) throw anothersSession();
  }

  #admit(key: string, isCall: boolean): void {
    this.#users += 1;
    this.#key = key;
    if (isCall) this.#hasCall = true;
  }

  #leave(isCall: boolean): void {
    this.#users -= 1;
    if (isCall) this.#hasCall = false;
    this.#serve();
    if (this.#users === 0) this.#onIdle();
  }

  /** Serves the requests whose turn it is, while the session is free for them. */
  #serve(): void {
    for (const [caller, lines] of this.#turns) {
      for (const [key, line] of lines) {
        if (line.calls.size + line.others.size === 0) {
          lines.delete(key);
          continue;
        }
        if (this.#users > 0 && (this.#hasCall || key !== this.#key)) return;
        this.#take(key, line);
        // To the end of the turns; these loops reach it again.
        lines.delete(key);
        if (line.calls.size > 0) lines.set(key, line);
        break;
      }
      this.#turns.delete(caller);
      if (lines.size > 0) this.#turns.set(caller, lines);
    }
  }

  /** Serves one turn. */
  #take(key: string, { calls, others }: Line): void {
    const [call] = calls;
    if (call !== undefined) this.#admit(key, true);
    call?.admit();
    for (const { admit } of others) {
      this.#admit(key, false);
      admit();
    }
  }

  async #opened(user: SessionUser, holder: SessionHolder, patience: Patience): Promise<Session> {
    if (this.#isClosed) throw stopping();
    const present = this.#present;
    const found = present?.session.catch(() => undefined);
    const session = found && (await patiently(found, patience, busy));
    if (present !== undefined && present.key === user.key && session?.isUsable) return session;
    if (this.#isKept && session?.isUsable) throw anothersSession();
    // Another request with the same key may have replaced it during the wait.
    if (this.#present === present) {
      // If this request loses patience, the next one may use the session.
      const unwanted = new AbortController();
      const { signal } = unwanted;
      const onLost = () => next.listener?.onLost();
      const opening = this.#replace(session, signal, () => user.open(holder, { signal }, onLost));
      opening.catch(() => {});
      const next: Present = { key: user.key, session: opening, unwanted, listener: undefined };
      this.#present = next;
    }
    return patiently((this.#present as Present).session, patience, busy);
  }

  /**
   * Ends the old session before opening a new one, and retries: the server may notice the end a little later, or exit with its only
   * session until something restarts it.
   */
  async #replace(old: Session | undefined, unwanted: Signal, open: () => Promise<Session>): Promise<Session> {
    if (old === undefined) return open();
    await old.close();
    for (const deadline = performance.now() + RESTART_MS; ; await sleep(LOOK_AGAIN_MS)) {
      try {
        return await open();
      } catch (error) {
        const failure = toFailure(error);
        const isNotYet = isUnreachable(failure) || takesAnotherLater(failure);
        const isOver = this.#isClosed || unwanted.aborted || performance.now() >= deadline;
        if (!isNotYet || isOver) throw error;
      }
    }
  }
}

/** Whether nothing answered at all. */
function isUnreachable({ facts: { status, hasStarted } }: UpstreamFailure): boolean {
  return status === undefined && hasStarted !== false;
}

function busy(): UpstreamFailure {
  return new UpstreamFailure("The server's only session is busy with a call", { mayHaveRun: false });
}
