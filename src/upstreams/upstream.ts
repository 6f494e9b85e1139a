import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { JsonObject } from "../protocol/jsonrpc.ts";
import { ControlSession } from "./control.ts";
import { type Lease, SessionPool } from "./pool.ts";
import { readDescription, type ServerDescription, Session, type SessionHolder } from "./session.ts";
import { Solo } from "./solo.ts";
import { OwnSession, type SessionSource } from "./source.ts";
import type { JoinedSession } from "./streamable-http.ts";
import type { Wire } from "./wire.ts";
import { Wires, type WiresOptions } from "./wires.ts";

/** For whom a session is: no two callers, credentials or declarations ever share one. */
export interface SessionOwner {
  readonly caller: string;
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

export interface UpstreamOptions extends WiresOptions {
  readonly clientInfo: { readonly name: string; readonly version: string };
}

const IDLE_SESSION_MS = 60_000;
const IDLE_CONTROL_MS = 300_000;
const SWEEP_MS = 15_000;
/** Sessions that a server is made to keep for nothing, and callers that we are made to remember. */
const MAX_IDLE_SESSIONS = 256;
const MAX_CONTROL_SESSIONS = 256;

/** One server behind the gateway: its sessions, kept apart by owner. */
export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #wires: Wires;
  readonly #pool: SessionPool;
  readonly #solo: Solo | undefined;
  readonly #controls = new Map<string, ControlSession>();
  readonly #sweeper: NodeJS.Timeout;
  /** What the server last said of itself; most sessions are told the same, instructions and all. */
  #description: ServerDescription | undefined;
  readonly #joined = new Set<Session>();

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#wires = new Wires(options);
    const maxIdle = options.config.sessions === "lease" ? MAX_IDLE_SESSIONS : 0;
    this.#pool = new SessionPool({ idleMs: IDLE_SESSION_MS, maxIdle });
    this.#solo = options.config.sessions === "single" ? new Solo() : undefined;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  /** The server's name and version, as it last said them. */
  get serverInfo(): JsonObject | undefined {
    return this.#description?.serverInfo;
  }

  /** What the server last said of itself, to whomever. */
  get description(): ServerDescription | undefined {
    return this.#description;
  }

  /**
   * A session for one call. What the server sends on it goes to `holder` until it is released.
   * @throws UpstreamFailure
   */
  lease(owner: SessionOwner, holder: SessionHolder): Promise<Lease> {
    const user = { key: keyOf(owner), open: (opener: SessionHolder) => this.#open(owner, opener) };
    return (this.#solo ?? this.#pool).lease(user, holder);
  }

  /** The client's own session, for one call: to be released without being ended. */
  join({ headers, ...joined }: ClientSession, holder: SessionHolder): Lease {
    const wire = this.#wires.join(headers, joined);
    const onGarbage = this.#onGarbage;
    const session = Session.join({ wire, holder, onGarbage, idPrefix: `taskgate-${randomUUID()}-` });
    this.#joined.add(session);
    const release = () => {
      this.#joined.delete(session);
      void session.close();
    };
    return { session, isReused: false, release };
  }

  /** Whether clients of Streamable HTTP can be forwarded to the server as they are. */
  get isStreamable(): boolean {
    return this.#wires.isStreamable;
  }

  /**
   * A wire for a session that a client opens itself, message by message: `use` sends the client's `initialize` over it, and the
   * wire is closed if that fails. Whatever transport the server speaks.
   * @throws UpstreamFailure, and whatever `use` throws
   */
  pair<T>(headers: Readonly<Record<string, string>>, use: (wire: Wire) => Promise<T>): Promise<T> {
    return this.#wires.open(headers, use);
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
    const control = this.#controls.get(key) ?? new ControlSession(this.#sourceFor(owner, key));
    // The one that was used last is the last to go.
    this.#controls.delete(key);
    this.#controls.set(key, control);
    if (this.#controls.size > MAX_CONTROL_SESSIONS) this.#evict();
    return control;
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    const controls = [...this.#controls.values()];
    this.#controls.clear();
    await Promise.all([this.#pool, ...controls, ...this.#joined].map((sessions) => sessions.close()));
    await this.#solo?.close();
  }

  #sourceFor(owner: SessionOwner, key: string) {
    const solo = this.#solo;
    return (holder: SessionHolder, onLost: () => void): SessionSource =>
      solo === undefined
        ? new OwnSession(() => this.#open(owner, holder, onLost))
        : solo.source({ key, open: (opener) => this.#open(owner, opener, onLost) }, holder);
  }

  async #open(
    { headers, capabilities }: SessionOwner,
    holder: SessionHolder,
    onLost?: () => void,
  ): Promise<Session> {
    const options = {
      clientInfo: this.#options.clientInfo,
      capabilities,
      holder,
      onGarbage: this.#onGarbage,
      share: (description: ServerDescription) => this.#share(description),
      ...(onLost === undefined ? {} : { onLost }),
    };
    return this.#wires.open(headers, (wire) => Session.open({ ...options, wire }));
  }

  /** Hears of what the server sent that is no message, or did not take. */
  readonly #onGarbage = (error: Error): void =>
    this.#options.log.debug({ err: error }, "the server sent what is no message, or took none");

  #share(description: ServerDescription): ServerDescription {
    if (!isDeepStrictEqual(description, this.#description)) this.#description = description;
    return this.#description ?? description;
  }

  #sweep(): void {
    const now = Date.now();
    this.#pool.sweep(now);
    for (const [key, control] of this.#controls) {
      if (!control.isListenedTo && now - control.lastUsed > IDLE_CONTROL_MS) this.#end(key, control);
    }
  }

  #evict(): void {
    const unheard = [...this.#controls].find(([, control]) => !control.isListenedTo);
    if (unheard !== undefined) this.#end(...unheard);
  }

  #end(key: string, control: ControlSession): void {
    this.#controls.delete(key);
    void control.close();
  }
}

/** Equal owners have equal keys. Credentials are part of it, so it is for maps and never for logs. */
function keyOf({ caller, headers, capabilities }: SessionOwner): string {
  return JSON.stringify([caller, headers, capabilities]);
}
