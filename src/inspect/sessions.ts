import type { Logger } from "pino";
import type { UpstreamConfig } from "../config/config.ts";
import { isObject, type JsonObject, type JsonRpcRequest, type JsonRpcResponse } from "../protocol/jsonrpc.ts";
import type { UpstreamAgents } from "../upstreams/agents.ts";
import type { ServerDescription } from "../upstreams/description.ts";
import { late, unanswered } from "../upstreams/failure.ts";
import { inTime } from "../upstreams/in-time.ts";
import { type CallSession, Session, type SessionHolder } from "../upstreams/session.ts";
import type { Wire } from "../upstreams/wire.ts";
import { Wires } from "../upstreams/wires.ts";
import { VERSION } from "../version.ts";
import type { Description, VersionFacts } from "./facts.ts";
import type { Caller } from "./speaker.ts";
import { refusalOf, type Trial } from "./trial.ts";
import { wordsOf } from "./unfit.ts";

export const CLIENT_INFO = { name: "mcp-taskgate", version: VERSION } as const;

/** Everything that a server may ask a client for. */
export const EVERYTHING: JsonObject = { elicitation: { form: {}, url: {} }, roots: {}, sampling: {} };

export interface SessionsOptions {
  readonly config: UpstreamConfig;
  readonly agents: UpstreamAgents;
  readonly log: Logger;
  /** How long one answer may take. */
  readonly timeoutMs: number;
  /** Closes all of them. */
  readonly signal: AbortSignal;
}

/** A session that can be called. */
export interface SessionCaller extends Caller {
  readonly protocolVersion: string;
}

/** As much as one message of a server may have. */
export const MAX_MESSAGE_BYTES = 67_108_864;
const MAX_GARBAGE = 5;

/** Legacy sessions with one server, over its transport; all of them are ended by `close`. */
export class Sessions {
  readonly #wires: Wires;
  readonly #options: SessionsOptions;
  readonly #open = new Set<Wire>();
  readonly #garbage: string[] = [];

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#wires = new Wires({ ...options, maxMessageBytes: MAX_MESSAGE_BYTES });
    options.signal.addEventListener("abort", this.#onAbort);
  }

  /** The first of what came and was no message. */
  get garbage(): readonly string[] {
    return this.#garbage;
  }

  /** Opens a session that declares `capabilities`. @throws UpstreamFailure */
  open(capabilities: JsonObject): Promise<SessionCaller> {
    return this.#on(async (wire) => {
      const holder = new Declining();
      const { timeoutMs } = this.#options;
      const session = await Session.open({
        wire,
        clientInfo: CLIENT_INFO,
        capabilities,
        holder,
        onGarbage: this.#onGarbage,
        share: (description) => description,
        startTimeoutMs: timeoutMs,
      });
      return new SessionSpeaker(session, holder, timeoutMs, () => void this.#open.delete(wire));
    });
  }

  /** Says what the server makes of a client of this version. Never rejects. */
  async negotiate(asked: string): Promise<VersionFacts> {
    const params = { protocolVersion: asked, capabilities: {}, clientInfo: CLIENT_INFO };
    try {
      const response = await this.once("initialize", params, this.#options.timeoutMs);
      if ("error" in response) return { asked, refusal: response.error.message };
      const { protocolVersion } = response.result;
      return typeof protocolVersion === "string"
        ? { asked, answered: protocolVersion }
        : { asked, refusal: "its answer to initialize names no version" };
    } catch (error) {
      return { asked, refusal: wordsOf(error), isLost: true };
    }
  }

  /** Asks one thing on a wire of its own, with no session opened before. @throws UpstreamFailure */
  once(method: string, params: JsonObject, timeoutMs: number): Promise<JsonRpcResponse> {
    return this.#on(async (wire) => {
      const answer = new Promise<JsonRpcResponse>((resolve, reject) => {
        wire.onGarbage = this.#onGarbage;
        wire.onMessage = (message) => !("method" in message) && resolve(message);
        wire.ask({ jsonrpc: "2.0", id: 1, method, params }).ended.then(() => reject(unanswered()), reject);
      });
      const response = await inTime(timeoutMs, answer, () => late(method, timeoutMs));
      await wire.close();
      this.#open.delete(wire);
      return response;
    });
  }

  async close(): Promise<void> {
    this.#options.signal.removeEventListener("abort", this.#onAbort);
    await Promise.all([...this.#open].map((wire) => wire.close()));
  }

  async #on<T>(use: (wire: Wire) => Promise<T>): Promise<T> {
    this.#options.signal.throwIfAborted();
    return this.#wires.open({}, async (wire) => {
      this.#open.add(wire);
      try {
        return await use(wire);
      } catch (error) {
        await wire.close();
        this.#open.delete(wire);
        throw error;
      }
    });
  }

  readonly #onAbort = (): void => void this.close();

  readonly #onGarbage = (error: Error): void => {
    if (this.#garbage.length < MAX_GARBAGE) this.#garbage.push(error.message);
  };
}

/** Turns down what the server asks, and lets the trial that is under way know of it. */
class Declining implements SessionHolder {
  trial: Trial | undefined;

  onRequest(request: JsonRpcRequest, session: CallSession): void {
    void session.respond(request.id, this.trial?.asked(request) ?? refusalOf(request.method).answer);
  }

  onNotification(): void {
    this.trial?.heard();
  }
}

class SessionSpeaker implements SessionCaller {
  readonly protocolVersion: string;
  readonly description: Description;
  readonly #session: Session;
  readonly #holder: Declining;
  readonly #timeoutMs: number;
  readonly #onClosed: () => void;

  constructor(session: Session, holder: Declining, timeoutMs: number, onClosed: () => void) {
    this.protocolVersion = session.server.protocolVersion;
    this.description = descriptionOf(session.server);
    this.#session = session;
    this.#holder = holder;
    this.#timeoutMs = timeoutMs;
    this.#onClosed = onClosed;
  }

  ask(method: string, params?: JsonObject, timeoutMs = this.#timeoutMs): Promise<JsonRpcResponse> {
    const request = this.#session.request(method, params);
    return inTime(timeoutMs, request.response, () => {
      request.cancel("timed out");
      return late(method, timeoutMs);
    });
  }

  async call(trial: Trial): Promise<void> {
    this.#holder.trial = trial;
    trial.sent();
    const request = this.#session.request("tools/call", trial.params, {
      onProgress: (progress) => trial.progressed(progress),
      onAccepted: () => trial.accepted(),
    });
    const outOfTime = () => {
      trial.ended({ kind: "late" });
      request.cancel("it took too long");
      return late("tools/call", trial.timeoutMs);
    };
    await inTime(trial.timeoutMs, request.response, outOfTime).then(
      (response) => trial.answered(response),
      (error: unknown) => trial.failed(error),
    );
    this.#holder.trial = undefined;
  }

  async close(): Promise<void> {
    await this.#session.close();
    this.#onClosed();
  }
}

/** What a server says of itself, as far as it is told. */
export function descriptionOf({
  serverInfo,
  capabilities,
  instructions,
}: Omit<ServerDescription, "protocolVersion">): Description {
  const { name, version } = isObject(serverInfo) ? serverInfo : {};
  return {
    ...(typeof name === "string" ? { name } : {}),
    ...(typeof version === "string" ? { version } : {}),
    capabilities,
    ...(instructions === undefined ? {} : { instructions }),
  };
}
