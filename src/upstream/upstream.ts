import { isDeepStrictEqual } from "node:util";
import { steadyNow } from "../lib/clock.ts";
import { once } from "../lib/once.ts";
import type { Signal } from "../lib/signal.ts";
import type { JsonObject } from "../protocol/jsonrpc.ts";
import { onBehalfOf, type ProgramInfo } from "../protocol/modern.ts";
import type { ToolCatalogue } from "./catalogue.ts";
import { slowToStart, toFailure, type UpstreamFailure } from "./failure.ts";
import { inTime } from "./in-time.ts";
import { ListedTools } from "./listed-tools.ts";
import { refusesSessions } from "./modern/dual-era.ts";
import type { ModernServer } from "./modern/server.ts";
import { type ModernUpstream, modernUpstreamFor } from "./modern/upstream.ts";
import { Presence, type PresenceOptions } from "./presence.ts";
import { Admission } from "./sessions/admission.ts";
import { ControlSession } from "./sessions/control.ts";
import { readDescription, type ServerDescription } from "./sessions/description.ts";
import { FairShares } from "./sessions/fair-shares.ts";
import { OnlyOneSession, saysOneSession, takenByAnother, takesAnotherLater } from "./sessions/one-session.ts";
import {
  type Lease,
  type RejoinedLease,
  released,
  SessionPool,
  type SessionUser,
  withHeaders,
} from "./sessions/pool.ts";
import { type CallSession, Session, type SessionHolder, type SessionOwner } from "./sessions/session.ts";
import type { PlaceWait } from "./sessions/session-limit.ts";
import { SingleSession } from "./sessions/single.ts";
import { EitherSession, OwnSession, type SessionSource } from "./sessions/source.ts";
import { StrayQuestions } from "./sessions/stray-questions.ts";
import type { MessagePaths } from "./transports/message-paths.ts";
import { Transports, type TransportsOptions } from "./transports/open.ts";
import type { JoinedSession, Transport } from "./transports/transport.ts";

/** A client's own session with the server, in which the gateway sends a request on the client's behalf. */
export interface ClientSession extends JoinedSession {
  /** The client's own headers, credentials among them. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of the address by which the client reaches the server, question mark included; may be a credential. Absent: it has none. */
  readonly query?: string;
}

/** A session in which an earlier replica sent a request that this one resumes. */
export interface RejoinedSession {
  /** The session as the checkpoint recorded it. */
  readonly session: JoinedSession;
  /** The caller's own headers that the gateway passes on. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether a client opened the session; otherwise a gateway did. */
  readonly isClients: boolean;
}

export interface UpstreamOptions extends TransportsOptions, PresenceOptions {}

interface Opened {
  readonly owner: SessionOwner;
  readonly opening: Promise<Session>;
}

/** Opening a session again costs an HTTP server more than keeping it. */
const MIN_LONG_IDLE_MS = 300_000;
const SWEEP_MS = { min: 100, max: 15_000 } as const;
/** How long a client that opens its own session waits until the server has room for it. */
const PAIR_PATIENCE_MS = 10_000;
/** Limits for idle sessions at the server, and for callers that the gateway remembers. */
const MAX_IDLE_SESSIONS = 256;
const MAX_CONTROL_SESSIONS = 256;

/** One server behind the gateway, and its sessions, separate for each owner. */
export class Upstream {
  /** Whether the server is there, as far as this gateway has had to do with it. */
  readonly presence: Presence;
  readonly listed = new ListedTools();
  readonly #options: UpstreamOptions;
  readonly #transports: Transports;
  readonly #admission: Admission;
  readonly #pool: SessionPool;
  /** Present if the server can have one session only, according to the configuration or to the server itself. */
  #single: SingleSession | undefined;
  /** Whether the server said so, and not the configuration. */
  #hasSaidSo = false;
  /** Whether all callers share the only session, because it was opened without any caller's headers and is never replaced. */
  #isForAll = false;
  /** Sessions that this gateway opened and that are usable, or being opened. */
  readonly #opened = new Set<Opened>();
  /** For each session of the pool that a call has: settles when the call is over. */
  readonly #lent = new Map<CallSession, Promise<void>>();
  /** Absent if calls may have any number of sessions, or share one. */
  readonly #shares: FairShares | undefined;
  readonly #controls = new Map<string, ControlSession>();
  readonly #sweeper: NodeJS.Timeout;
  /** The server's last description of itself; most sessions get the same one, instructions included. */
  #description: ServerDescription | undefined;
  readonly #joined = new Set<Session>();
  /** How many calls are open, and sessions and requests of clients: the server's questions may be for them. */
  #uses = 0;
  /** Absent over stdio, where a session is a process whose questions are for nobody else. */
  readonly #strays: StrayQuestions | undefined;
  /** Present if the server may turn out to speak 2026-07-28 itself. */
  readonly #modern: ModernUpstream | undefined;
  #isClosed = false;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.presence = new Presence(options);
    const { sessions, idleTimeoutMs, maxSessions = Number.POSITIVE_INFINITY, transport } = options.config;
    const isSingle = sessions === "single";
    this.#strays = transport === "stdio" ? undefined : new StrayQuestions({ isInUse: () => this.#uses > 0 });
    this.#transports = new Transports(options);
    this.#admission = new Admission({
      transports: this.#transports,
      hasProcesses: transport === "stdio",
      presence: this.presence,
      max: isSingle ? 1 : maxSessions,
      setting: isSingle ? "sessions: single" : `maxSessions: ${maxSessions}`,
      makeRoom: () => this.#pool.giveUp() ?? this.#single?.giveUp() ?? this.#giveUpControl(),
    });
    this.#pool = new SessionPool({
      idleMs: idleTimeoutMs,
      maxIdle: sessions === "lease" ? MAX_IDLE_SESSIONS : 0,
      onIdle: this.#onIdle,
    });
    this.#single = isSingle ? new SingleSession(this.#onIdle) : undefined;
    const isShared = !isSingle && Number.isFinite(maxSessions);
    this.#shares = isShared
      ? new FairShares({ max: maxSessions, setting: `maxSessions: ${maxSessions}` })
      : undefined;
    this.#modern = modernUpstreamFor(options, {
      presence: this.presence,
      onListed: (name) => this.listed.note(name),
      tryOut: (headers) => this.#tryOut(headers),
    });
    const sweepMs = Math.min(SWEEP_MS.max, Math.max(SWEEP_MS.min, idleTimeoutMs));
    this.#sweeper = setInterval(() => this.#sweep(), sweepMs).unref();
  }

  /** How many sessions with it are open. */
  get sessions(): number {
    return this.#admission.sessions;
  }

  /** The server's name and version, from its last description. */
  get serverInfo(): JsonObject | undefined {
    return this.#modern?.known?.serverInfo ?? this.#description?.serverInfo;
  }

  /**
   * The server, if it speaks 2026-07-28 itself; probed first if its era is unknown, otherwise at once. Never rejects.
   * @param headers the caller's own that the gateway passes on
   */
  modern(
    headers: Readonly<Record<string, string>>,
  ): ModernServer | undefined | Promise<ModernServer | undefined> {
    return this.#isClosed ? undefined : this.#modern?.find(headers);
  }

  /** While a server over HTTP may still be starting: settles when it is there, or is taken to be down. */
  starting(headers: Readonly<Record<string, string>>): Promise<void> | undefined {
    return this.#isClosed ? undefined : this.#modern?.starting(headers);
  }

  /**
   * Checks whether the server accepts a caller's headers: opens a session with them and ends it, or probes a server that speaks
   * 2026-07-28.
   * @throws UpstreamFailure when the server refuses them, or gives no answer
   */
  async accepts(headers: Readonly<Record<string, string>>): Promise<void> {
    if ((await this.modern(headers)) !== undefined && (await this.#modern?.accepts(headers))) return;
    const owner = { caller: "", headers, capabilities: {} };
    // Ping on the one session for everybody, which is opened again for other headers. It may have been opened before these were revoked.
    if (this.#single !== undefined) return void (await this.control(owner).ask("ping"));
    try {
      await this.#tryOut(headers);
    } catch (error) {
      if (!(error instanceof OnlyOneSession)) throw error;
      await this.control(owner).ask("ping");
    }
  }

  /** Opens a session and ends it. @throws UpstreamFailure */
  async #tryOut(headers: SessionOwner["headers"]): Promise<void> {
    const owner = { caller: "", headers, capabilities: {} };
    const session = await this.#open(owner, undefined, { patienceMs: PAIR_PATIENCE_MS });
    await session.close();
  }

  /** The server's last description of itself, to any caller. */
  get description(): ServerDescription | undefined {
    return this.#description;
  }

  /**
   * Leases a session for one call. `holder` receives what the server sends on it until it is released.
   * @param signal aborted, with the failure that says why, when the call does not want it any more
   * @throws UpstreamFailure
   */
  async lease(owner: SessionOwner, holder: SessionHolder, signal?: Signal): Promise<Lease> {
    // `use` comes after the share: a call that waits for its share is not at the server yet.
    const giveBack = await this.#shares?.take(owner, { signal });
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
    signal: Signal | undefined,
    over: () => void,
  ): Promise<Lease> {
    const alone = async (single: SingleSession) => {
      const lease = await single.lease(this.#userFor(owner), holder, signal);
      return released(this.#isForAll ? withHeaders(lease, owner.headers) : lease, over);
    };
    if (this.#single !== undefined) return alone(this.#single);
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
      if (this.#single === undefined || !(error instanceof OnlyOneSession)) throw error;
      return alone(this.#single);
    }
  }

  /**
   * Marks the beginning of a call, or of a client's session or request, at the server; the returned function marks its end. In between, the
   * gateway does not answer questions of the server in the client's place.
   */
  use(): () => void {
    this.#uses += 1;
    return once(() => {
      this.#uses -= 1;
    });
  }

  /** Joins the client's own session for one call; releasing the lease does not end the session. */
  join({ headers, query, ...joined }: ClientSession, holder: SessionHolder): RejoinedLease {
    const transport = this.#transports.join(headers, joined, query);
    const session = Session.join({ transport, holder, onGarbage: this.#onGarbage });
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
   * Joins a session in which another replica has sent a request, to resume that. A client's own session is not ended on release. In a
   * gateway's session this one listens again; the session counts towards `maxSessions`, and ends on release unless it is left to another
   * replica.
   * @param signal aborted, with the failure that says why, when the call does not want it any more
   * @throws UpstreamFailure when the server has no room, or its transport cannot resume
   */
  async rejoin(
    { session, headers, isClients }: RejoinedSession,
    holder: SessionHolder,
    signal?: Signal,
  ): Promise<RejoinedLease> {
    if (isClients) return this.join({ ...session, headers }, holder);
    const rejoined = await this.#admission.rejoin(
      headers,
      session,
      async (transport) => {
        const joined = Session.join({ transport, holder, onGarbage: this.#onGarbage });
        await transport.pickUp?.listen();
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
      void rejoined.close(state === "handedOff" ? state : undefined);
    };
    return { session: rejoined, isReused: false, release };
  }

  /** How long to keep an idle session that is not for one call alone: a caller's control session, or a client's own. */
  get longIdleMs(): number {
    const { idleTimeoutMs, transport } = this.#options.config;
    return transport === "stdio" ? idleTimeoutMs : Math.max(idleTimeoutMs, MIN_LONG_IDLE_MS);
  }

  /** Whether the gateway can forward clients of Streamable HTTP to the server unchanged. */
  get isStreamable(): boolean {
    return this.#transports.isStreamable && !this.isOnlyModern;
  }

  /** Whether the server is known to speak 2026-07-28 and none of the revisions before. */
  get isOnlyModern(): boolean {
    return this.#modern?.isOnly ?? this.#transports.isModern;
  }

  /**
   * Whether a server that has just refused a client's `initialize` with this status turns out to speak only 2026-07-28. False at once if it
   * cannot be so. Never rejects.
   */
  refusesSessions(headers: SessionOwner["headers"], status: number): false | Promise<boolean> {
    return this.#modern?.refusesSessions(headers, status) ?? false;
  }

  /** The paths to which the server wants HTTP+SSE messages posted, as far as it has announced them. */
  get messagePaths(): MessagePaths {
    return this.#transports.messagePaths;
  }

  /**
   * Opens a transport for a session that a client opens itself, over whichever transport the server speaks. `use` sends the client's
   * `initialize`; if that fails, or is not answered within `startTimeout`, the transport is closed. The session counts towards `maxSessions`,
   * and as one of the caller's share of them, until the transport is closed.
   * @throws UpstreamFailure, and whatever `use` throws
   */
  async pair<T>(
    owner: Omit<SessionOwner, "capabilities">,
    use: (transport: Transport) => Promise<T>,
  ): Promise<T> {
    const { startTimeoutMs } = this.#options.config;
    const late = () => slowToStart("answer initialize", startTimeoutMs);
    const useInTime = (transport: Transport) => {
      transport.onGarbage = this.#onGarbage;
      return inTime(startTimeoutMs, use(transport), late);
    };
    if (this.#modern?.isOnly) return this.#bridge(owner, this.#modern, useInTime);
    const wait = { patienceMs: PAIR_PATIENCE_MS };
    const open = (onLeft?: () => void) => this.#admission.open(owner.headers, useInTime, wait, onLeft);
    try {
      return await (this.#shares?.sharing(owner, wait, open) ?? open());
    } catch (error) {
      const failure = toFailure(error);
      if (this.#modern === undefined || !refusesSessions(failure)) throw error;
      if (!(await this.#modern.refusesSessions(owner.headers, failure.facts.status))) throw error;
      return this.#bridge(owner, this.#modern, useInTime);
    }
  }

  async #bridge<T>(
    owner: Omit<SessionOwner, "capabilities">,
    modern: ModernUpstream,
    use: (transport: Transport) => Promise<T>,
  ): Promise<T> {
    const bridged = modern.bridge(owner);
    try {
      return await use(bridged);
    } catch (error) {
      await bridged.close();
      throw error;
    }
  }

  /**
   * Like `description`, but asks the server if it has not described itself yet, as a client without capabilities. @throws UpstreamFailure
   */
  async describe(owner: Omit<SessionOwner, "capabilities">): Promise<ServerDescription> {
    return this.#description ?? this.control({ ...owner, capabilities: {} }).describe();
  }

  /** Learns the description from the server's answer to a client's own `initialize`; ignores anything else. */
  learn(result: JsonObject): void {
    try {
      this.#share(readDescription(result));
    } catch {
      // The client gets the same answer, and is better placed to complain.
    }
  }

  /** The control session of an owner, for everything other than calls. Programs share it: some servers have room for few sessions. */
  control(owner: SessionOwner): ControlSession {
    const key = keyOf(owner);
    const control = this.#controls.get(key) ?? this.#newControl(owner);
    // The most recently used one is evicted last.
    this.#controls.delete(key);
    this.#controls.set(key, control);
    if (this.#controls.size > MAX_CONTROL_SESSIONS) this.#evict(control);
    return control;
  }

  /** What the gateway knows of the server's tools, in whichever way it can ask. */
  toolsFor(owner: SessionOwner): ToolCatalogue {
    const server = this.isOnlyModern ? this.#modern?.known : undefined;
    return server === undefined ? this.control(owner).tools : server.toolsOf(owner);
  }

  #newControl({ client: _, ...owner }: SessionOwner): ControlSession {
    const { startTimeoutMs } = this.#options.config;
    const onListed = (name: string) => this.listed.note(name);
    return new ControlSession({
      source: this.#sourceFor(owner),
      onIdle: this.#onIdle,
      answerTimeoutMs: startTimeoutMs,
      headers: owner.headers,
      onListed,
    });
  }

  /** Passes a signal on to the server's processes, if it is one that the gateway has started. */
  signal(signal: NodeJS.Signals): void {
    this.#admission.signal(signal);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#sweeper);
    this.#shares?.close();
    this.#modern?.close();
    this.#strays?.close();
    const controls = [...this.#controls.values()];
    this.#controls.clear();
    const sessions = [this.#pool, this.#single, ...controls, ...this.#joined, this.#admission];
    await Promise.all(sessions.map((each) => each?.close()));
  }

  #userFor(owner: SessionOwner): SessionUser {
    const { caller } = owner;
    if (this.#isForAll) return { key: "", caller, open: (...how) => this.#open(NOBODY, ...how) };
    // Requests that share the only session must accept the program that opened it, and where it is not opened again for each, what that declared.
    const key = keyOf(
      this.#hasSaidSo ? { ...owner, capabilities: {} } : owner,
      this.#single === undefined ? owner.client : undefined,
    );
    return { key, caller, open: (...how) => this.#open(owner, ...how) };
  }

  #sourceFor(owner: SessionOwner) {
    return (holder: SessionHolder, onLost: () => void): SessionSource => {
      let shared: SessionSource | undefined;
      const alone = () => {
        shared ??= this.#single?.source(this.#userFor(owner), holder, onLost);
        return shared;
      };
      const own = new OwnSession((patienceMs) => this.#open(owner, holder, { patienceMs }, onLost));
      return new EitherSession(alone, own);
    };
  }

  async #open(
    { caller, headers, capabilities, client }: SessionOwner,
    holder: SessionHolder | undefined,
    wait: PlaceWait<Session>,
    onLost?: () => void,
  ): Promise<Session> {
    // It would say so again.
    const refusal = this.#modern?.refusal(headers);
    if (refusal !== undefined) throw refusal;
    const options = {
      clientInfo: onBehalfOf(client, this.#options.clientInfo),
      capabilities,
      holder,
      onGarbage: this.#onGarbage,
      share: (description: ServerDescription) => this.#share(description),
      startTimeoutMs: this.#options.config.startTimeoutMs,
      strays: this.#strays,
      onLost,
    };
    const opening = this.#admission.open(
      headers,
      (transport) => Session.open({ ...options, transport }),
      wait,
    );
    const opened = { owner: { caller, headers, capabilities, client }, opening };
    this.#note(opened);
    return opening.catch(async (error: unknown) => {
      this.#opened.delete(opened);
      this.#modern?.disprove(headers);
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
   * Handles the refusal of a second session: from now on everything goes over the gateway's present one. It is kept if the server would not
   * take another after it; otherwise it is replaced for other callers. A kept session that the server gave without any caller's headers is
   * nobody's: all callers have their turn in it, each with their own headers.
   */
  async #onOneSession(refusal: UpstreamFailure): Promise<UpstreamFailure> {
    const isConfigured = this.#single !== undefined && !this.#hasSaidSo;
    const present = isConfigured ? undefined : await firstUsable([...this.#opened]);
    if (present === undefined) return takenByAnother(refusal);
    const { owner, session } = present;
    if (this.#single === undefined) {
      this.#hasSaidSo = true;
      const isKept = !takesAnotherLater(refusal);
      this.#isForAll = isKept && Object.keys(owner.headers).length === 0;
      this.#single = new SingleSession(this.#onIdle, isKept);
      this.#single.adopt(this.#userFor(owner).key, session, this.#lent.get(session));
      this.#pool.forsake(session);
      this.#options.log.warn(
        { said: refusal.message },
        "the server allows one session only; the gateway uses the one it has for everything, as with sessions: single",
      );
    }
    return new OnlyOneSession(refusal.message, refusal.facts);
  }

  /** Logs what the server sent that is no message, and messages that it refused. */
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
    const now = steadyNow();
    this.#pool.sweep(now);
    for (const [key, control] of this.#controls) {
      if (isSpare(control) && now - control.lastUsed > this.longIdleMs) this.#end(key, control);
    }
  }

  /** Ends a spare control session other than `wanted`. If all the others are in use, there is one more than the limit. */
  #evict(wanted: ControlSession): void {
    const spare = [...this.#controls].find(([, control]) => control !== wanted && isSpare(control));
    if (spare !== undefined) this.#end(...spare);
  }

  /** Ends those with listeners last: changes until they are opened again are reported late. */
  #giveUpControl(): Promise<void> | undefined {
    const controls = [...this.#controls.values()];
    const inOrder = [...controls.filter(isSpare), ...controls.filter(({ isListenedTo }) => isListenedTo)];
    for (const control of inOrder) {
      const gone = control.giveUp();
      if (gone !== undefined) return gone;
    }
    return undefined;
  }

  /** Called when a session has become idle. */
  readonly #onIdle = (): void => this.#admission.review();

  #end(key: string, control: ControlSession): void {
    this.#controls.delete(key);
    void control.close();
  }
}

/** The first usable session, as soon as it is open; undefined when none is. */
async function firstUsable(those: readonly Opened[]) {
  const usable = async ({ owner, opening }: Opened) => {
    const session = await opening;
    if (!session.isUsable) throw new Error("it has been closed");
    return { owner, session };
  };
  return Promise.any(those.map(usable)).catch(() => undefined);
}

function isSpare({ isBusy, isListenedTo }: ControlSession): boolean {
  return !isBusy && !isListenedTo;
}

/** A session of the gateway's own. */
const NOBODY: SessionOwner = { caller: "", headers: {}, capabilities: {} };

/**
 * Equal owners have equal keys. Keys contain credentials: use them in maps, never in logs.
 * @param client whose program the server is told of; absent: all the caller's programs
 */
function keyOf({ caller, headers, capabilities }: SessionOwner, client?: ProgramInfo): string {
  return JSON.stringify([caller, headers, capabilities, client]);
}
