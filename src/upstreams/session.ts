import { randomUUID } from "node:crypto";
import { within } from "../ops/within.ts";
import type {
  JsonObject,
  JsonRpcMessage,
  JsonRpcNotification,
  JsonRpcRequest,
  JsonRpcResponse,
  RequestId,
} from "../protocol/jsonrpc.ts";
import { isObject } from "../protocol/jsonrpc.ts";
import { LATEST_LEGACY_VERSION, LEGACY_VERSIONS } from "../protocol/legacy.ts";
import { toFailure, UpstreamFailure, unanswered } from "./failure.ts";
import { inTime } from "./in-time.ts";
import type { Wire } from "./wire.ts";

/** What the server said of itself in answer to `initialize`. */
export interface ServerDescription {
  readonly protocolVersion: string;
  readonly capabilities: JsonObject;
  readonly serverInfo: JsonObject;
  readonly instructions?: string;
}

/** What a call needs of a session, of whatever revision. */
export interface CallSession {
  /** Sends a request. Progress is asked for, under the token in the params if there is one, and told to `listener`. */
  request(method: string, params: JsonObject | undefined, listener?: RequestListener): UpstreamRequest;
  notify(method: string, params?: JsonObject): void;
  /** Answers what the server asked. */
  respond(id: RequestId, answer: RequestAnswer): void;
  /**
   * Takes what the server sent elsewhere, but means for a request of this session. Says whether it was: progress is, where
   * somebody here waits for it.
   */
  hear(message: JsonRpcMessage): boolean;
  /** Asks for log messages from `level` on, where the server logs at all. Never rejects. */
  setLogLevel(level: string): Promise<void>;
}

export type RequestAnswer =
  | { readonly result: JsonObject }
  | { readonly error: { readonly code: number; readonly message: string } };

/** Whoever uses the session at the moment: what the server sends of its own accord goes there. */
export interface SessionHolder {
  /**
   * To be answered on `session`, which may not have been handed out yet. `key`: what the server itself calls its question,
   * if it has a name for it (2026-07-28, MRTR).
   */
  onRequest(request: JsonRpcRequest, session: CallSession, key?: string): void;
  onNotification(notification: JsonRpcNotification): void;
}

/** A progress notification without its token: what the specification knows of it, and whatever else there is. */
export type Progress = JsonObject & { readonly progress: number };

/** What can be heard of a request, apart from its answer. */
export interface RequestListener {
  onProgress?(progress: Progress): void;
  /** The server has taken it: from here on it answers, or the stream breaks. */
  onAccepted?(): void;
}

/** A request under way on a session. */
export interface UpstreamRequest {
  readonly id: RequestId;
  /** @throws UpstreamFailure when no answer can come any more */
  readonly response: Promise<JsonRpcResponse>;
  /** Tells the server that the answer is not wanted. It may come all the same. */
  cancel(reason: string): void;
}

export interface SessionOptions {
  readonly wire: Wire;
  readonly clientInfo: { readonly name: string; readonly version: string };
  /** Declared to the server exactly so. */
  readonly capabilities: JsonObject;
  /** Already told what the server sends while the session opens: it may ask at once. */
  readonly holder: SessionHolder | undefined;
  readonly onGarbage: (error: Error) => void;
  /** Gives the one description that all sessions share which were told the same. */
  readonly share: (description: ServerDescription) => ServerDescription;
  /** The server has forgotten the session. Not called after `close`. */
  readonly onLost?: () => void;
  /** How long the server may take to answer `initialize`, and to take note that this is done. */
  readonly startTimeoutMs: number;
}

/** What is needed to use a session that somebody else has opened. */
export type JoinOptions = Pick<SessionOptions, "wire" | "holder" | "onGarbage"> & {
  /** Keeps our ids apart from those of whoever opened it; one of its own unless given. */
  readonly idPrefix?: string;
};

interface Pending {
  readonly progressToken: unknown;
  resolve(response: JsonRpcResponse): void;
  reject(failure: UpstreamFailure): void;
  onProgress(progress: Progress): void;
}

/** A call waits no longer than this for its log messages. */
const LOG_LEVEL_PATIENCE_MS = 2_000;

/** A legacy MCP session: who asked what, and to whom what the server sends belongs. */
export class Session implements CallSession {
  readonly #wire: Wire;
  readonly #pending = new Map<RequestId, Pending>();
  #holder: SessionHolder | undefined;
  #description: ServerDescription | undefined;
  /** Never 0: some servers ignore the cancellation of a request with a falsy id. */
  #lastId = 0;
  readonly #idPrefix: string | undefined;
  #logLevel: string | undefined;
  #isClosed = false;
  #isLost = false;

  /**
   * Opens a session: `initialize`, `notifications/initialized`, and the stream that the server pushes on.
   * @throws UpstreamFailure
   */
  static async open(options: SessionOptions): Promise<Session> {
    const session = new Session(options);
    try {
      await session.#initialize(options);
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** A session that somebody else opened, and will end: closing it here ends only what was sent from here. */
  static join(options: JoinOptions): Session {
    return new Session({ idPrefix: `taskgate-${randomUUID()}-`, ...options });
  }

  private constructor({
    wire,
    holder,
    onGarbage,
    onLost,
    idPrefix,
  }: Pick<SessionOptions, "wire" | "holder" | "onGarbage" | "onLost"> & Partial<JoinOptions>) {
    this.#wire = wire;
    this.#idPrefix = idPrefix;
    this.#holder = holder;
    wire.onMessage = (message) => this.#receive(message);
    wire.onGarbage = (error) => {
      if (!this.#isClosed) onGarbage(error);
    };
    wire.onLost = () => {
      if (this.#isClosed) return;
      this.#isLost = true;
      onLost?.();
    };
  }

  get server(): ServerDescription {
    if (this.#description === undefined) throw new Error("the session is not open");
    return this.#description;
  }

  /** Whether another request may be sent on it. */
  get isUsable(): boolean {
    return !this.#isClosed && !this.#isLost;
  }

  /** Hands the session over. Without a holder, what the server asks is refused. */
  attach(holder: SessionHolder | undefined): void {
    this.#holder = holder;
  }

  request(
    method: string,
    params: JsonObject | undefined,
    { onProgress = () => {}, onAccepted = () => {} }: RequestListener = {},
  ): UpstreamRequest {
    this.#lastId += 1;
    const id = this.#idPrefix === undefined ? this.#lastId : `${this.#idPrefix}${this.#lastId}`;
    const meta = { progressToken: id, ...(isObject(params?._meta) ? params._meta : {}) };
    const { progressToken } = meta;
    const message = { jsonrpc: "2.0", id, method, params: { ...params, _meta: meta } } as const;
    const { ended, stop } = this.#wire.ask(message, onAccepted);
    const response = new Promise<JsonRpcResponse>((resolve, reject) => {
      this.#pending.set(id, { progressToken, resolve, reject, onProgress });
      ended.then(
        () => this.#pending.has(id) && reject(unanswered()),
        (error: unknown) => reject(toFailure(error)),
      );
    }).finally(() => {
      this.#pending.delete(id);
      stop();
    });
    return { id, response, cancel: (reason) => this.#cancel(id, reason) };
  }

  hear(message: JsonRpcMessage): boolean {
    if ("method" in message && message.method === "notifications/progress")
      return this.#progressed(message.params);
    this.#receive(message);
    return true;
  }

  notify(method: string, params?: JsonObject): void {
    this.#tell(params === undefined ? { jsonrpc: "2.0", method } : { jsonrpc: "2.0", method, params });
  }

  respond(id: RequestId, answer: RequestAnswer): void {
    this.#tell({ jsonrpc: "2.0", id, ...answer });
  }

  /** 2025-11-25, Logging. */
  async setLogLevel(level: string): Promise<void> {
    if (this.#logLevel === level || !isObject(this.server.capabilities.logging)) return;
    this.#logLevel = level;
    const { response } = this.request("logging/setLevel", { level });
    await within(LOG_LEVEL_PATIENCE_MS, response).catch(() => {});
    // An answer that comes later, or not at all, is of no interest.
    response.catch(() => {});
  }

  /** Ends the session; what is still waiting for an answer gets none. Never rejects. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#holder = undefined;
    const failure = new UpstreamFailure("The session with the server was closed", { mayHaveRun: true });
    for (const pending of this.#pending.values()) pending.reject(failure);
    await this.#wire.close();
  }

  async #initialize(options: SessionOptions): Promise<void> {
    const { clientInfo, capabilities, share, startTimeoutMs } = options;
    const request = this.request("initialize", {
      protocolVersion: LATEST_LEGACY_VERSION,
      capabilities,
      clientInfo,
    });
    const response = await inTime(startTimeoutMs, request.response, () =>
      slowToStart("answer initialize", startTimeoutMs),
    ).catch((error: unknown) => {
      throw beforeTheCall(toFailure(error));
    });
    if ("error" in response) {
      const message = `The server refused initialize: ${response.error.message}`;
      throw new UpstreamFailure(message, { mayHaveRun: false });
    }
    this.#description = share(readDescription(response.result));
    this.#wire.setProtocolVersion(this.#description.protocolVersion);
    await inTime(startTimeoutMs, this.#wire.initialized(), () =>
      slowToStart("take notifications/initialized", startTimeoutMs),
    ).catch((error: unknown) => {
      throw beforeTheCall(toFailure(error));
    });
  }

  #receive(message: JsonRpcMessage): void {
    if (!("method" in message)) {
      const pending = message.id === undefined ? undefined : this.#pending.get(message.id);
      pending?.resolve(message);
    } else if ("id" in message) {
      this.#asked(message);
    } else if (message.method === "notifications/progress") {
      this.#progressed(message.params);
    } else {
      this.#holder?.onNotification(message);
    }
  }

  #asked(request: JsonRpcRequest): void {
    if (request.method === "ping") {
      this.respond(request.id, { result: {} });
    } else if (this.#holder === undefined) {
      this.respond(request.id, { error: { code: -32601, message: "No call is under way on this session" } });
    } else {
      this.#holder.onRequest(request, this);
    }
  }

  #progressed(params: JsonObject | undefined): boolean {
    const { progressToken, ...rest } = params ?? {};
    if (progressToken === undefined || !hasProgress(rest)) return false;
    const pending = [...this.#pending.values()].find((one) => one.progressToken === progressToken);
    pending?.onProgress(rest);
    return pending !== undefined;
  }

  #cancel(id: RequestId, reason: string): void {
    if (this.#pending.has(id)) this.notify("notifications/cancelled", { requestId: id, reason });
  }

  /** A message that nobody waits for: should it be lost, the request it belongs to fails by itself. */
  #tell(message: JsonRpcMessage): void {
    if (this.#isClosed) return;
    this.#wire.tell(message).catch((error: unknown) => this.#wire.onGarbage(toFailure(error)));
  }
}

export function hasProgress(params: JsonObject): params is Progress {
  return typeof params.progress === "number";
}

/** Reads the answer to `initialize`. @throws UpstreamFailure when it is none, or of a version that we do not speak */
export function readDescription(result: JsonObject): ServerDescription {
  const { protocolVersion, capabilities, serverInfo, instructions } = result;
  if (typeof protocolVersion !== "string" || !LEGACY_VERSIONS.includes(protocolVersion)) {
    const message = `The server speaks protocol version ${JSON.stringify(protocolVersion)}, expected one of ${LEGACY_VERSIONS.join(", ")}`;
    throw new UpstreamFailure(message, { mayHaveRun: false });
  }
  return {
    protocolVersion,
    capabilities: isObject(capabilities) ? capabilities : {},
    serverInfo: isObject(serverInfo) ? serverInfo : {},
    ...(typeof instructions === "string" ? { instructions } : {}),
  };
}

/** The server did not do in time what it has to do before it is of use. */
export function slowToStart(what: string, ms: number): UpstreamFailure {
  const message = `The server did not ${what} within ${ms} ms (startTimeout)`;
  return new UpstreamFailure(message, { mayHaveRun: false, hasStarted: false });
}

/** Whatever went wrong while the session opened, the call that wanted it has not been sent, and nobody answered it. */
function beforeTheCall({ message, facts }: UpstreamFailure): UpstreamFailure {
  const { rpcError: _, ...others } = facts;
  return new UpstreamFailure(message, { ...others, mayHaveRun: false });
}
