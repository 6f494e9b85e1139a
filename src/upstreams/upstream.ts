import { isDeepStrictEqual } from "node:util";
import type { JsonObject } from "../protocol/jsonrpc.ts";
import { Admission } from "./admission.ts";
import type { BerthWait } from "./berths.ts";
import { ControlSession } from "./control.ts";
import { readDescription, type ServerDescription } from "./description.ts";
import { slowToStart, toFailure, type UpstreamFailure } from "./failure.ts";
import { FairShares, type Sharer } from "./fair-shares.ts";
import { inTime } from "./in-time.ts";
import type { MessagePaths } from "./message-paths.ts";
import type { ModernServer } from "./modern-server.ts";
import { ModernUpstream } from "./modern-upstream.ts";
import { OnlyOneSession, saysOneSession, takenByAnother, takesAnotherLater } from "./one-session.ts";
import { type Lease, type RejoinedLease, SessionPool, type SessionUser } from "./pool.ts";
import { type CallSession, Session, type SessionHolder } from "./session.ts";
import { Solo } from "./solo.ts";
import { EitherSession, OwnSession, type SessionSource } from "./source.ts";
import { StrayQuestions } from "./stray-questions.ts";
import type { JoinedSession, Wire } from "./wire.ts";
import { Wires, type WiresOptions } from "./wires.ts";

/** For whom a session is: no two callers, credentials or declarations ever share one. */
export interface SessionOwner {
  readonly caller: string;
  /** Whether the caller is told apart from others. Absent: no. */
  readonly isIdentified?: boolean;
  /** The caller's own headers that are passed on. */
  readonly headers: Readonly<Record<string, string>>;
  /** As declared to the server; equal declarations are equal objects. */
  readonly capabilities: JsonObject;
}

/** A session between a client and the server, in which the gateway sends a request of the client's on its behalf. */
export interface ClientSession extends JoinedSession {
  /** The client's own headers, credentials among them. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A session in which a request was sent that is to be gone on with. */
export interface RejoinedSession {
  /** As the checkpoint has it. */
  readonly session: JoinedSession;
  /** The caller's own headers that are passed on. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether a client opened it; else a gateway did. */
  readonly isClients: boolean;
}

export interface UpstreamOptions extends WiresOptions {
  readonly clientInfo: { readonly name: string; readonly version: string };
}

interface Opened {
  readonly owner: SessionOwner;
  readonly opening: Promise<Session>;
}

/** To log in again costs a server over HTTP more than to remember. */
const MIN_LONG_IDLE_MS = 300_000;
const SWEEP_MS = { min: 100, max: 15_000 } as const;
/** How long a client that opens a session of its own waits until the server has room for it. */
const PAIR_PATIENCE_MS = 10_000;
/** Sessions that a server is made to keep for nothing, and callers that we are made to remember. */
const MAX_IDLE_SESSIONS = 256;
const MAX_CONTROL_SESSIONS = 256;

/** One server behind the gateway: its sessions, kept apart by owner. */
export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #wires: Wires;
  readonly #admission: Admission;
  readonly #pool: SessionPool;
  /** There where the server can have one session only, as the configuration says, or the server itself. */
  #solo: Solo | undefined;
  /** Whether it was the server that said so. */
  #hasSaidSo = false;
  /** Those that were opened here and are usable, or being opened. */
  readonly #opened = new Set<Opened>();
  /** When the calls are over that have sessions of the pool. */
  readonly #lent = new Map<CallSession, Promise<void>>();
  /** Absent where calls may have as many sessions as they like, or there is one for everything. */
  readonly #shares: FairShares | undefined;
  readonly #controls = new Map<string, ControlSession>();
  readonly #sweeper: NodeJS.Timeout;
  /** What the server last said of itself; most sessions are told the same, instructions and all. */
  #description: ServerDescription | undefined;
  readonly #joined = new Set<Session>();
  /** Calls, and sessions and requests of clients, that are under way: what the server asks may be for them. */
  readonly #uses = new Set<symbol>();
  /** Over stdio a session is a process, and what that asks is nobody else's. */
  readonly #strays: StrayQuestions | undefined;
  /** There where the server may turn out to speak 2026-07-28 itself. */
  readonly #modern: ModernUpstream | undefined;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    const { sessions, idleTimeoutMs, maxSessions = Number.POSITIVE_INFINITY, transport } = options.config;
    const isSingle = sessions === "single";
    this.#strays =
      transport === "stdio" ? undefined : new StrayQuestions({ isInUse: () => this.#uses.size > 0 });
    this.#wires = new Wires(options);
    this.#admission = new Admission({
      wires: this.#wires,
      hasProcesses: transport === "stdio",
      max: isSingle ? 1 : maxSessions,
      setting: isSingle ? "sessions: single" : `maxSessions: ${maxSessions}`,
      makeRoom: () => this.#pool.giveUp() ?? this.#solo?.giveUp() ?? this.#giveUpControl(),
    });
    this.#pool = new SessionPool({
      idleMs: idleTimeoutMs,
      maxIdle: sessions === "lease" ? MAX_IDLE_SESSIONS : 0,
      onIdle: this.#onIdle,
    });
    this.#solo = isSingle ? new Solo(this.#onIdle) : undefined;
    const isShared = !isSingle && Number.isFinite(maxSessions);
    this.#shares = isShared
      ? new FairShares({ max: maxSessions, setting: `maxSessions: ${maxSessions}` })
      : undefined;
    this.#modern = mayBeModern(options);
    const sweepMs = Math.min(SWEEP_MS.max, Math.max(SWEEP_MS.min, idleTimeoutMs));
    this.#sweeper = setInterval(() => this.#sweep(), sweepMs).unref();
  }

  /** The server's name and version, as it last said them. */
  get serverInfo(): JsonObject | undefined {
    return this.#modern?.known?.serverInfo ?? this.#description?.serverInfo;
  }

  /**
   * The server, if it speaks 2026-07-28 itself; asked if that is not known, and at once if it is. Never rejects.
   * @param headers the caller's own that are passed on
   */
  modern(
    headers: Readonly<Record<string, string>>,
  ): ModernServer | undefined | Promise<ModernServer | undefined> {
    return this.#modern?.find(headers);
  }

  /**
   * Finds out whether the server takes a caller's headers: a session is opened with them, and ended; one that speaks 2026-07-28 is
   * asked what it is.
   * @throws UpstreamFailure when it does not, or gives no answer
   */
  async accepts(headers: Readonly<Record<string, string>>): Promise<void> {
    if ((await this.modern(headers)) !== undefined && (await this.#modern?.accepts(headers))) return;
    const owner = { caller: "", headers, capabilities: {} };
    // There is one session for everybody, which is opened anew for other headers. It may have been before they were revoked.
    if (this.#solo !== undefined) return void (await this.control(owner).ask("ping"));
    try {
      const session = await this.#open(owner, undefined, { patienceMs: PAIR_PATIENCE_MS });
      await session.close();
    } catch (error) {
      if (!(error instanceof OnlyOneSession)) throw error;
      await this.control(owner).ask("ping");
    }
  }

  /** What the server last said of itself, to whomever. */
  get description(): ServerDescription | undefined {
    return this.#description;
  }

  /**
   * A session for one call. What the server sends on it goes to `holder` until it is released.
   * @param signal aborted, with the failure that says why, when it is not wanted any more
   * @throws UpstreamFailure
   */
  async lease(owner: SessionOwner, holder: SessionHolder, signal?: AbortSignal): Promise<Lease> {
    // A call that waits for its share is not at the server yet.
    const giveBack = await this.#shares?.take(sharerOf(owner), { signal });
    const use = this.use();
    const over = () => {
      use();
      giveBack?.();
    };
    try {
      return await this.#leased(owner, holder, signal, over);
    } catch (error) {
      over();
      throw error;
    }
  }

  async #leased(
    owner: SessionOwner,
    holder: SessionHolder,
    signal: AbortSignal | undefined,
    over: () => void,
  ): Promise<Lease> {
    const alone = async (solo: Solo) =>
      released(await solo.lease(this.#userFor(owner), holder, signal), over);
    if (this.#solo !== undefined) return alone(this.#solo);
    try {
      const lease = await this.#pool.lease(this.#userFor(owner), holder, signal);
      let end = () => {};
      this.#lent.set(lease.session, new Promise((resolve) => (end = resolve)));
      return released(lease, () => {
        this.#lent.delete(lease.session);
        end();
        over();
      });
    } catch (error) {
      if (this.#solo === undefined || !(error instanceof OnlyOneSession)) throw error;
      return alone(this.#solo);
    }
  }

  /**
   * Says that a call, or a client's session or request, is under way at the server; what is returned, that it is over. Meanwhile nothing that
   * the server asks is answered in the client's place.
   */
  use(): () => void {
    const use = Symbol();
    this.#uses.add(use);
    return () => void this.#uses.delete(use);
  }

  /** The client's own session, for one call: to be released without being ended. */
  join({ headers, ...joined }: ClientSession, holder: SessionHolder): RejoinedLease {
    const wire = this.#wires.join(headers, joined);
    const session = Session.join({ wire, holder, onGarbage: this.#onGarbage });
    const over = this.use();
    this.#joined.add(session);
    const release = () => {
      over();
      this.#joined.delete(session);
      void session.close();
    };
    return { session, isReused: false, release };
  }

  /**
   * A session in which another process has sent a request, to go on with that. A client's own is joined and not ended; one of the
   * gateway's is listened to again, counts for `maxSessions`, and is ended when it is released, unless it is left to somebody else.
   * @param signal aborted, with the failure that says why, when it is not wanted any more
   * @throws UpstreamFailure when the server has no room, or its transport knows nothing of the kind
   */
  async rejoin(
    { session, headers, isClients }: RejoinedSession,
    holder: SessionHolder,
    signal?: AbortSignal,
  ): Promise<RejoinedLease> {
    if (isClients) return this.join({ ...session, headers }, holder);
    const rejoined = await this.#admission.rejoin(
      headers,
      session,
      async (wire) => {
        const joined = Session.join({ wire, holder, onGarbage: this.#onGarbage });
        await wire.pickUp?.listen();
        return joined;
      },
      { signal },
    );
    this.#joined.add(rejoined);
    const over = this.use();
    const release: Lease["release"] = (state) => {
      over();
      this.#joined.delete(rejoined);
      rejoined.attach(undefined);
      void rejoined.close(state === "left" ? state : undefined);
    };
    return { session: rejoined, isReused: false, release };
  }

  /** How long a session of no use is kept that is not for one call alone: somebody's lists, or a client's own. */
  get longIdleMs(): number {
    const { idleTimeoutMs, transport } = this.#options.config;
    return transport === "stdio" ? idleTimeoutMs : Math.max(idleTimeoutMs, MIN_LONG_IDLE_MS);
  }

  /** Whether clients of Streamable HTTP can be forwarded to the server as they are. */
  get isStreamable(): boolean {
    return this.#wires.isStreamable;
  }

  /** Where the server wants the messages of HTTP+SSE posted, as far as it has said so. */
  get messagePaths(): MessagePaths {
    return this.#wires.messagePaths;
  }

  /**
   * A wire for a session that a client opens itself, message by message: `use` sends the client's `initialize` over it, and the
   * wire is closed if that fails, or is not answered within `startTimeout`. Whatever transport the server speaks. The session
   * counts for `maxSessions` until the wire is closed.
   * @throws UpstreamFailure, and whatever `use` throws
   */
  pair<T>(headers: Readonly<Record<string, string>>, use: (wire: Wire) => Promise<T>): Promise<T> {
    const { startTimeoutMs } = this.#options.config;
    const late = () => slowToStart("answer initialize", startTimeoutMs);
    const useInTime = (wire: Wire) => {
      wire.onGarbage = this.#onGarbage;
      return inTime(startTimeoutMs, use(wire), late);
    };
    return this.#admission.open(headers, useInTime, { patienceMs: PAIR_PATIENCE_MS });
  }

  /** The same, and if it has not been asked yet it is, as a client without capabilities. @throws UpstreamFailure */
  async describe(owner: Omit<SessionOwner, "capabilities">): Promise<ServerDescription> {
    return this.#description ?? this.control({ ...owner, capabilities: {} }).describe();
  }

  /** Takes note of what the server answered a client's own `initialize`; what is no such answer is ignored. */
  learn(result: JsonObject): void {
    try {
      this.#share(readDescription(result));
    } catch {
      // The client is told the same, and is in a better position to complain.
    }
  }

  /** The session for everything that is no call. */
  control(owner: SessionOwner): ControlSession {
    const key = keyOf(owner);
    const control = this.#controls.get(key) ?? this.#newControl(owner);
    // The one that was used last is the last to go.
    this.#controls.delete(key);
    this.#controls.set(key, control);
    if (this.#controls.size > MAX_CONTROL_SESSIONS) this.#evict(control);
    return control;
  }

  #newControl(owner: SessionOwner): ControlSession {
    return new ControlSession(this.#sourceFor(owner), this.#onIdle, this.#options.config.startTimeoutMs);
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    this.#shares?.close();
    this.#modern?.close();
    this.#strays?.close();
    const controls = [...this.#controls.values()];
    this.#controls.clear();
    const sessions = [this.#pool, this.#solo, ...controls, ...this.#joined, this.#admission];
    await Promise.all(sessions.map((each) => each?.close()));
  }

  #userFor(owner: SessionOwner): SessionUser {
    // All that may use a session that is not opened anew for each have to make do with what the first of them declared.
    const key = keyOf(this.#hasSaidSo ? { ...owner, capabilities: {} } : owner);
    return { key, caller: owner.caller, open: (...how) => this.#open(owner, ...how) };
  }

  #sourceFor(owner: SessionOwner) {
    return (holder: SessionHolder, onLost: () => void): SessionSource => {
      let shared: SessionSource | undefined;
      const alone = () => {
        shared ??= this.#solo?.source(this.#userFor(owner), holder, onLost);
        return shared;
      };
      const own = new OwnSession((patienceMs) => this.#open(owner, holder, { patienceMs }, onLost));
      return new EitherSession(alone, own);
    };
  }

  async #open(
    { caller, headers, capabilities }: SessionOwner,
    holder: SessionHolder | undefined,
    wait: BerthWait<Session>,
    onLost?: () => void,
  ): Promise<Session> {
    const options = {
      clientInfo: this.#options.clientInfo,
      capabilities,
      holder,
      onGarbage: this.#onGarbage,
      share: (description: ServerDescription) => this.#share(description),
      startTimeoutMs: this.#options.config.startTimeoutMs,
      strays: this.#strays,
      ...(onLost === undefined ? {} : { onLost }),
    };
    const opening = this.#admission.open(headers, (wire) => Session.open({ ...options, wire }), wait);
    const opened = { owner: { caller, headers, capabilities }, opening };
    this.#note(opened);
    return opening.catch(async (error: unknown) => {
      this.#opened.delete(opened);
      const failure = toFailure(error);
      throw saysOneSession(failure) ? await this.#onOneSession(failure) : error;
    });
  }

  #note(opened: Opened): void {
    this.#opened.add(opened);
    opened.opening.then(
      (session) => session.closed.then(() => this.#opened.delete(opened)),
      () => {},
    );
  }

  /**
   * The server refuses to have a second session. From here on everything goes over the one that it has of ours, which is kept, where the
   * server would not take another after its end, or else opened anew for other callers.
   */
  async #onOneSession(refusal: UpstreamFailure): Promise<UpstreamFailure> {
    const isConfigured = this.#solo !== undefined && !this.#hasSaidSo;
    const present = isConfigured ? undefined : await firstUsable([...this.#opened]);
    if (present === undefined) return takenByAnother(refusal);
    const { owner, session } = present;
    if (this.#solo === undefined) {
      this.#hasSaidSo = true;
      this.#solo = new Solo(this.#onIdle, !takesAnotherLater(refusal));
      this.#solo.adopt(this.#userFor(owner).key, session, this.#lent.get(session));
      this.#pool.forsake(session);
      this.#options.log.warn(
        { said: refusal.message },
        "the server allows one session only; the gateway uses the one it has for everything, as with sessions: single",
      );
    }
    return new OnlyOneSession(refusal.message, refusal.facts);
  }

  /** Hears of what the server sent that is no message, or did not take. */
  readonly #onGarbage = (error: Error): void =>
    this.#options.log.debug(
      { err: error },
      "the server sent something that is no MCP message, or refused one",
    );

  #share(description: ServerDescription): ServerDescription {
    if (!isDeepStrictEqual(description, this.#description)) this.#description = description;
    return this.#description ?? description;
  }

  #sweep(): void {
    const now = Date.now();
    this.#pool.sweep(now);
    for (const [key, control] of this.#controls) {
      if (isSpare(control) && now - control.lastUsed > this.longIdleMs) this.#end(key, control);
    }
  }

  /** Ends another than that which is about to be used. When somebody listens on every one of them there is one more. */
  #evict(wanted: ControlSession): void {
    const spare = [...this.#controls].find(([, control]) => control !== wanted && isSpare(control));
    if (spare !== undefined) this.#end(...spare);
  }

  /** Those that somebody listens on come last: what changes before they are opened again is told late. */
  #giveUpControl(): Promise<void> | undefined {
    const controls = [...this.#controls.values()];
    const inOrder = [...controls.filter(isSpare), ...controls.filter(({ isListenedTo }) => isListenedTo)];
    for (const control of inOrder) {
      const gone = control.giveUp();
      if (gone !== undefined) return gone;
    }
    return undefined;
  }

  /** Hears that a session is of no use any more to whoever has it. */
  readonly #onIdle = (): void => this.#admission.review();

  #end(key: string, control: ControlSession): void {
    this.#controls.delete(key);
    void control.close();
  }
}

/** The first of them that can be used, as soon as it is open; undefined when none can. */
async function firstUsable(those: readonly Opened[]) {
  const usable = async ({ owner, opening }: Opened) => {
    const session = await opening;
    if (!session.isUsable) throw new Error("it has been closed");
    return { owner, session };
  };
  return Promise.any(those.map(usable)).catch(() => undefined);
}

function released(lease: Lease, over: () => void): Lease {
  const release: Lease["release"] = (state) => {
    over();
    lease.release(state);
  };
  return { ...lease, release };
}

function isSpare({ isBusy, isListenedTo }: ControlSession): boolean {
  return !isBusy && !isListenedTo;
}

function sharerOf({ caller, isIdentified = false }: SessionOwner): Sharer {
  return { caller, isIdentified };
}

/** Equal owners have equal keys. Credentials are part of it, so it is for maps and never for logs. */
function keyOf({ caller, headers, capabilities }: SessionOwner): string {
  return JSON.stringify([caller, headers, capabilities]);
}

/**
 * What 2026-07-28 defines of HTTP is Streamable HTTP. It has no sessions: a server that can have one only is a legacy one, and
 * may take the question of what it is for the beginning of that session.
 */
function mayBeModern({ config, agents, ...options }: UpstreamOptions): ModernUpstream | undefined {
  if (config.transport === "stdio" || config.transport === "sse" || config.sessions === "single")
    return undefined;
  const { url, headers } = config;
  return new ModernUpstream({ ...options, url, headers, nextDispatcher: (given) => agents.next(given) });
}
