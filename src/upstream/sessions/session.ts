import { randomUUID } from "node:crypto";
import { within } from "../../lib/within.ts";
import type { AnswerRoom } from "../../limits/answers.ts";
import {
  isObject,
  isRequestId,
  isSameId,
  type JsonObject,
  type JsonRpcMessage,
  type JsonRpcNotification,
  type JsonRpcRequest,
  type JsonRpcResponse,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { LATEST_LEGACY_VERSION } from "../../protocol/legacy.ts";
import type { ProgramInfo } from "../../protocol/modern.ts";
import {
  beforeTheCall,
  isOfAbsent,
  isUnusable,
  slowToStart,
  toFailure,
  UpstreamFailure,
  unanswered,
} from "../failure.ts";
import { inTime } from "../in-time.ts";
import { nextRequestId } from "../request-ids.ts";
import { MAX_UNREACHED, reconnectDelay } from "../transports/reconnecting.ts";
import {
  type Asking,
  type AskListener,
  type EventPlace,
  nothingToResume,
  type Transport,
} from "../transports/transport.ts";
import { readDescription, type ServerDescription } from "./description.ts";
import type { AskedSession, StrayQuestions } from "./stray-questions.ts";

/** What a call needs of a session, in any revision. */
export interface CallSession {
  /** Sends a request and asks for progress, under the token in the params if there is one; progress goes to `listener`. */
  request(method: string, params: JsonObject | undefined, listener?: RequestListener): UpstreamRequest;
  /**
   * Goes on with a request that another replica has sent and whose server waits for answers: sends the next round once they are there.
   * The server's names for its questions stand for their ids. Absent: the server's requests have no rounds.
   */
  goOn?(
    method: string,
    params: JsonObject,
    pause: { readonly requestState?: string; readonly names: readonly string[] },
    listener: RequestListener,
  ): UpstreamRequest;
  notify(method: string, params?: JsonObject): void;
  /** Answers a question of the server's. Settles when the server has the answer, or cannot get it. Never rejects. */
  respond(id: RequestId, answer: RequestAnswer): Promise<void>;
  /**
   * Takes a message that the server sent elsewhere, but means for a request of this session. Returns whether it was for one: progress is
   * only if a request here waits for it.
   */
  hear(message: JsonRpcMessage): boolean;
  /** Asks the server for log messages from `level` on, if it logs at all. Never rejects. */
  setLogLevel(level: string): Promise<void>;
}

export type RequestAnswer =
  | { readonly result: JsonObject }
  | { readonly error: { readonly code: number; readonly message: string } };

/** Whom a session is for: callers never share one, nor do different credentials, declared capabilities or programs. */
export interface SessionOwner {
  readonly caller: string;
  /** Whether the caller is identified. Absent: no. */
  readonly isIdentified?: boolean | undefined;
  /** The caller's own headers that the gateway passes on. */
  readonly headers: Readonly<Record<string, string>>;
  /** As declared to the server; equal declarations have equal JSON. */
  readonly capabilities: JsonObject;
  /** The client's program, which the server is told of. Absent: the gateway is the client. */
  readonly client?: ProgramInfo | undefined;
}

/** The present user of a session: receives the server's requests and notifications. */
export interface SessionHolder {
  /**
   * A request of the server's. Answer it on `session`, which may not have been handed out yet. `key`: the server's own name for its
   * question, if it has one (2026-07-28, MRTR).
   */
  onRequest(request: JsonRpcRequest, session: CallSession, key?: string): void;
  /** Whether the holder has nobody to ask: then `onRequest` is not called where others may answer instead. */
  readonly cannotAnswer?: boolean;
  onNotification(notification: JsonRpcNotification): void;
}

/** The params of a progress notification without the token, unknown members included. */
export type Progress = JsonObject & { readonly progress: number };

/** Where another replica can resume waiting for the answer to a request. */
export interface RequestPlace extends EventPlace {
  readonly requestId: RequestId;
  readonly progressToken: RequestId;
}

/** What the server waits for between two rounds of a request. */
export interface RequestPause {
  /** What the server wants back with the answers. Absent: nothing. */
  readonly requestState?: string;
  /** The server's names for its questions, by the ids of the requests that the holder got. */
  readonly names: ReadonlyMap<RequestId, string>;
}

/** What a request reports, apart from its answer. */
export interface RequestListener {
  /** Headers for this request only, where the transport has any. Names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Where the answer finds room while it is read. Absent: it is not counted. */
  readonly room?: AnswerRoom | undefined;
  onProgress?(progress: Progress): void;
  /** The server has accepted the request: from now on it answers, or the stream breaks. */
  onAccepted?(): void;
  /** The server has ended a round with questions, which the holder has: until `beforeRound` nothing runs there (2026-07-28, MRTR). */
  onPause?(pause: RequestPause): void;
  /** Called when the answers are there: the next round is sent once this has resolved. */
  beforeRound?(): Promise<void>;
  /** There is a new place from which another replica could resume the request: everything before it has been reported. */
  onPlace?(place: RequestPlace): void;
}

/** A session in which another replica, or a client, has sent a request. */
export interface ResumingSession extends CallSession {
  /** Waits for the answer to a request that was sent elsewhere, from that place on. */
  resume(place: RequestPlace, listener?: RequestListener): UpstreamRequest;
}

/** A request under way on a session. */
export interface UpstreamRequest {
  readonly id: RequestId;
  /** @throws UpstreamFailure when no answer can come any more */
  readonly response: Promise<JsonRpcResponse>;
  /** Tells the server that the answer is not wanted. The answer may still come. */
  cancel(reason: string): void;
}

export interface SessionOptions {
  readonly transport: Transport;
  readonly clientInfo: ProgramInfo;
  /** The capabilities to declare to the server, unchanged. */
  readonly capabilities: JsonObject;
  /** Receives the server's messages even while the session opens: the server may ask at once. */
  readonly holder: SessionHolder | undefined;
  readonly onGarbage: (error: Error) => void;
  /** Returns one shared object for equal descriptions. */
  readonly share: (description: ServerDescription) => ServerDescription;
  /** Called when the server has forgotten the session; not after `close`. */
  readonly onLost?: (() => void) | undefined;
  /** Takes the server's questions while nobody in the session can answer. Absent: they are refused at once. */
  readonly strays?: StrayQuestions | undefined;
  /** How long the server may take to answer `initialize`, and then to accept `notifications/initialized`. */
  readonly startTimeoutMs: number;
}

/** Options for a session that another replica or a client has opened. */
export type JoinOptions = Pick<SessionOptions, "transport" | "holder" | "onGarbage" | "strays"> & {
  /** Keeps the gateway's ids apart from the opener's; a unique prefix unless given. */
  readonly idPrefix?: string;
};

interface Pending {
  readonly progressToken: unknown;
  resolve(response: JsonRpcResponse): void;
  reject(failure: UpstreamFailure): void;
  onProgress(progress: Progress): void;
}

/** How long a call waits until the server has set its log level. */
const LOG_LEVEL_PATIENCE_MS = 2_000;
/** How long a server may take to answer a request that was cancelled. */
const CANCEL_PATIENCE_MS = 5_000;
/** How many answers may be on their way: a server that pings without end would have the gateway open a connection for each. */
const MAX_TELLING = 256;

/** A legacy MCP session: knows which request an answer or a progress notification belongs to, and who receives the server's messages. */
export class Session implements ResumingSession, AskedSession {
  readonly #transport: Transport;
  readonly #strays: StrayQuestions | undefined;
  readonly #pending = new Map<RequestId, Pending>();
  #holder: SessionHolder | undefined;
  #description: ServerDescription | undefined;
  readonly #idPrefix: string | undefined;
  #logLevel: string | undefined;
  #telling = 0;
  #isClosed = false;
  #isLost = false;
  #onClosed = () => {};
  /** Resolves when `close` is called. */
  readonly closed = new Promise<void>((resolve) => {
    this.#onClosed = resolve;
  });

  /**
   * Opens a session: `initialize`, `notifications/initialized`, and the stream on which the server sends its own messages.
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

  /** Joins a session that another replica or a client opened and will end: closing it here ends only the requests that were sent here. */
  static join(options: JoinOptions): Session {
    return new Session({ idPrefix: `taskgate-${randomUUID()}-`, ...options });
  }

  private constructor({
    transport,
    holder,
    onGarbage,
    onLost,
    idPrefix,
    strays,
  }: Pick<SessionOptions, "transport" | "holder" | "onGarbage" | "onLost" | "strays"> &
    Partial<JoinOptions>) {
    this.#transport = transport;
    this.#strays = strays;
    this.#idPrefix = idPrefix;
    this.#holder = holder;
    transport.onMessage = (message) => this.#receive(message);
    transport.onGarbage = (error) => {
      if (!this.#isClosed) onGarbage(error);
    };
    transport.onLost = () => {
      if (this.#isClosed) return;
      this.#isLost = true;
      onLost?.();
    };
  }

  get server(): ServerDescription {
    if (this.#description === undefined) throw new Error("the session is not open");
    return this.#description;
  }

  /** Whether the session can take another request. */
  get isUsable(): boolean {
    return !this.#isClosed && !this.#isLost;
  }

  get oldestRequest(): RequestId | undefined {
    const [oldest] = this.#pending.keys();
    return oldest;
  }

  refuse({ id, method }: JsonRpcRequest): void {
    const message = `${method} cannot be answered here: no call is under way`;
    void this.respond(id, { error: { code: -32601, message } });
  }

  /** Also receives changes from a server without sessions, which may have room for one listener only. Returns a function that stops it. */
  hearChanges(): () => void {
    return this.#transport.hearChanges?.() ?? (() => {});
  }

  /** Hands the session over to another holder. Without one, questions of the server are refused, unless others may answer them. */
  attach(holder: SessionHolder | undefined): void {
    this.#holder = holder;
  }

  request(method: string, params: JsonObject | undefined, listener: RequestListener = {}): UpstreamRequest {
    const number = nextRequestId();
    const id = this.#idPrefix === undefined ? number : `${this.#idPrefix}${number}`;
    const { _meta: given, ...rest } = params ?? {};
    const meta = { progressToken: id, ...(isObject(given) ? given : {}) };
    const { progressToken } = meta;
    const message = { jsonrpc: "2.0", id, method, params: { _meta: meta, ...rest } } as const;
    return this.#await(id, progressToken, listener, (hears) => this.#transport.ask(message, hears));
  }

  resume(
    { requestId, progressToken, lastEventId }: RequestPlace,
    listener: RequestListener = {},
  ): UpstreamRequest {
    return this.#await(
      requestId,
      progressToken,
      listener,
      (hears) => this.#transport.pickUp?.resume(requestId, lastEventId, hears) ?? nothingToResume(),
    );
  }

  hear(message: JsonRpcMessage): boolean {
    if ("method" in message && message.method === "notifications/progress")
      return this.#progressed(message.params);
    this.#receive(message);
    return true;
  }

  notify(method: string, params?: JsonObject): void {
    void this.#tell(params === undefined ? { jsonrpc: "2.0", method } : { jsonrpc: "2.0", method, params });
  }

  /** Tries again while the server cannot be reached: it waits for the answer, and whoever gave it has been told that it was taken. */
  respond(id: RequestId, answer: RequestAnswer): Promise<void> {
    return this.#tell({ jsonrpc: "2.0", id, ...answer }, MAX_UNREACHED);
  }

  /** 2025-11-25, Logging. */
  async setLogLevel(level: string): Promise<void> {
    if (this.#logLevel === level || !isObject(this.server.capabilities.logging)) return;
    this.#logLevel = level;
    const { response, cancel } = this.request("logging/setLevel", { level });
    await within(LOG_LEVEL_PATIENCE_MS, response).catch(() => {});
    // A late or missing answer does not matter.
    response.catch(() => {});
    cancel("it takes too long");
  }

  /** Ends the session, or leaves it to another replica; requests that still wait fail. Never rejects. */
  async close(state?: "handedOff"): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClosed();
    this.#holder = undefined;
    const failure = new UpstreamFailure("The session with the server was closed", { mayHaveRun: true });
    for (const pending of this.#pending.values()) pending.reject(failure);
    await this.#transport.close(state);
  }

  /** Waits for the answer to a request; `ask` begins to listen for it. */
  #await(
    id: RequestId,
    progressToken: unknown,
    { headers, room, onProgress = () => {}, onAccepted = () => {}, onPlace }: RequestListener,
    ask: (hears: AskListener) => Asking,
  ): UpstreamRequest {
    const onEvent = (place: EventPlace) => {
      // The client's own token is passed on, whatever its type, but only a valid one can be resumed.
      if (isRequestId(progressToken)) onPlace?.({ requestId: id, progressToken, ...place });
    };
    const { ended, stop } = ask({ headers, room, onAccepted, onEvent: onPlace && onEvent });
    // A stream may be open for a while after its answer, and is not to keep that in memory.
    let pending: Pending | undefined;
    const response = new Promise<JsonRpcResponse>((resolve, reject) => {
      pending = { progressToken, resolve, reject, onProgress };
      this.#pending.set(id, pending);
    }).finally(() => {
      pending = undefined;
      this.#pending.delete(id);
      stop();
    });
    ended.then(
      () => pending?.reject(unanswered()),
      (error: unknown) => pending?.reject(toFailure(error)),
    );
    return { id, response, cancel: (reason) => this.#cancel(id, reason) };
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
    this.#transport.setProtocolVersion(this.#description.protocolVersion);
    await inTime(startTimeoutMs, this.#transport.initialized(), () =>
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
      if (message.method === "notifications/cancelled")
        this.#strays?.withdraw(message.params?.requestId, this);
      this.#holder?.onNotification(message);
    }
  }

  #asked(request: JsonRpcRequest): void {
    if (request.method === "ping") {
      void this.respond(request.id, { result: {} });
    } else if (this.#holder !== undefined && this.#holder.cannotAnswer !== true) {
      this.#holder.onRequest(request, this);
    } else if (this.#strays === undefined) {
      this.refuse(request);
    } else {
      this.#strays.add(request, this);
    }
  }

  #progressed(params: JsonObject | undefined): boolean {
    const { progressToken, ...rest } = params ?? {};
    if (progressToken === undefined || !hasProgress(rest)) return false;
    const pending = [...this.#pending.values()].find((one) => isSameId(progressToken, one.progressToken));
    pending?.onProgress(rest);
    return pending !== undefined;
  }

  /** Rejects a cancelled request that the server does not answer: its stream would stay open as long as others use the session. */
  #cancel(id: RequestId, reason: string): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.notify("notifications/cancelled", { requestId: id, reason });
    setTimeout(() => pending.reject(unanswered()), CANCEL_PATIENCE_MS).unref();
  }

  /** Sends a message that nobody waits for. @param maxRetries how often to try again while the server cannot be reached */
  async #tell(message: JsonRpcMessage, maxRetries = 0): Promise<void> {
    if (this.#isClosed) return;
    if (this.#telling >= MAX_TELLING)
      return this.#transport.onGarbage(new Error("the server asks faster than it listens"));
    this.#telling += 1;
    // Only a session that outlives its connections can be reached again.
    let retries = this.#transport.pickUp === undefined ? 0 : maxRetries;
    for (let attempts = 0; attempts === 0 || this.isUsable; attempts += 1) {
      try {
        await this.#transport.tell(message);
        break;
      } catch (error) {
        const failure = toFailure(error);
        if (attempts === 0 || retries === 0) this.#transport.onGarbage(failure);
        if (retries === 0 || !isPassing(failure)) break;
      }
      retries -= 1;
      await within(reconnectDelay(attempts), this.closed);
    }
    this.#telling -= 1;
  }
}

/** Whether the server was not there, or the connection broke: the server may be back in a moment. */
function isPassing(failure: UpstreamFailure): boolean {
  const { status } = failure.facts;
  return isOfAbsent(status) || (status === undefined && !isUnusable(failure));
}

export function hasProgress(params: JsonObject): params is Progress {
  return Number.isFinite(params.progress);
}
