import { setTimeout as sleep } from "node:timers/promises";
import { stopping, toFailure, UpstreamFailure } from "./failure.ts";
import { anothersSession, takesAnotherLater } from "./one-session.ts";
import type { Lease, SessionUser } from "./pool.ts";
import type { Session, SessionHolder } from "./session.ts";
import type { SessionSource } from "./source.ts";
import { type Patience, patiently, WaitingLine } from "./waiting-line.ts";

/** How long a server that has ended with its session may take to be there again. */
const RESTART_MS = 5_000;
const LOOK_AGAIN_MS = 250;

/** The session that there is. */
interface Present {
  readonly key: string;
  readonly session: Promise<Session>;
  /** Aborted when nobody wants it any more: then it is not opened, unless that has begun. */
  readonly unwanted: AbortController;
  listener: Listener | undefined;
}

/** Who hears what the server sends while no call has the session, and that there is no such session any more. */
interface Listener {
  readonly holder: SessionHolder;
  readonly onLost: () => void;
}

/** Those of one caller who wait for the session with the same key. */
interface Line {
  readonly calls: WaitingLine<void, void>;
  readonly others: WaitingLine<void, void>;
}

/**
 * The only session of a server that cannot have two: some keep one protocol object for all. Everything goes over it, one
 * call at a time; whoever needs it with other credentials or capabilities waits until nobody uses it, and then has it
 * replaced. Callers take turns: in a turn one call is made, however many wait, and whatever else waits for the same session.
 */
export class Solo {
  /** Whether the session is kept whatever happens, because the server would not take another one after its end. */
  readonly #isKept: boolean;
  #present: Present | undefined;
  /** What uses the session at the moment: at most one call, and any number of lists with the same key. */
  #users = 0;
  /** What its users have in common; the session itself may still be the last one's. */
  #key = "";
  #call: SessionHolder | undefined;
  #hasCall = false;
  /** Whether a call uses the session that began before the session was adopted. */
  #isLent = false;
  /** Those that wait, by caller and key, in the order in which it is their turn. */
  readonly #turns = new Map<string, Map<string, Line>>();
  readonly #onIdle: () => void;
  #isClosed = false;

  /**
   * @param onIdle called when nobody uses the session any more
   * @param isKept whether the session is never ended in favour of another
   */
  constructor(onIdle: () => void = () => {}, isKept = false) {
    this.#onIdle = onIdle;
    this.#isKept = isKept;
  }

  /**
   * Takes over a session that there is.
   * @param free settles when the call is over that uses it. Absent: none does
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
   * The session for one call.
   * @param signal aborted, with the failure that says why, when it is not wanted any more
   * @throws UpstreamFailure
   */
  async lease(user: SessionUser, holder: SessionHolder, signal?: AbortSignal): Promise<Lease> {
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
        if (state === "left") void session.close(state);
        if (state === "lost" || (state === "doubtful" && !this.#isKept)) void session.close();
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
        this.#present?.listener?.holder.onNotification(notification);
      },
    };
  }

  /**
   * The session for everything that is no call; `holder` hears of changes as long as the session is its own, and `onLost` is
   * called when the server has forgotten it, or a client's own took its place, whoever had opened it.
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

  /** Begins to end the session, if nobody uses it, and settles when it is gone. */
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

  /** Waits for its turn. Whoever would use the session beside a call does not: that delays nobody. */
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
      // Somebody who has lost patience may have been in the way of others.
      this.#serve();
      throw error;
    }
  }

  /** @throws UpstreamFailure at once, to whom no turn would be of use, because the session is another's and is never ended */
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

  /** Lets those have the session whose turn it is, while it is free for them. */
  #serve(): void {
    for (const [caller, lines] of this.#turns) {
      for (const [key, line] of lines) {
        if (line.calls.size + line.others.size === 0) {
          lines.delete(key);
          continue;
        }
        if (this.#users > 0 && (this.#hasCall || key !== this.#key)) return;
        this.#take(key, line);
        // Behind all others; these loops come to it again.
        lines.delete(key);
        if (line.calls.size > 0) lines.set(key, line);
        break;
      }
      this.#turns.delete(caller);
      if (lines.size > 0) this.#turns.set(caller, lines);
    }
  }

  /** One turn. */
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
    // Others with the same key may have replaced it while we looked.
    if (this.#present === present) {
      // Whoever loses patience leaves it to the next.
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
   * The server has to have forgotten the old one before it will take a new one, and may notice its end a little later. Some end with their
   * only session, and then somebody has to start them again.
   */
  async #replace(
    old: Session | undefined,
    unwanted: AbortSignal,
    open: () => Promise<Session>,
  ): Promise<Session> {
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

/** Whether nobody answered at all. */
function isUnreachable({ facts: { status, hasStarted } }: UpstreamFailure): boolean {
  return status === undefined && hasStarted !== false;
}

function busy(): UpstreamFailure {
  return new UpstreamFailure("The server's only session is busy with a call", { mayHaveRun: false });
}
