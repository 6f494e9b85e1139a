import { randomUUID } from "node:crypto";
import { onAbort } from "../../lib/signal.ts";
import { RpcError, rpc } from "../../protocol/errors.ts";
import {
  isObject,
  type JsonObject,
  type JsonRpcMessage,
  type JsonRpcNotification,
  type JsonRpcRequest,
  type JsonRpcResponse,
  progressTokenIn,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { bridgedCapabilities, LATEST_LEGACY_VERSION, LEGACY_VERSIONS } from "../../protocol/legacy.ts";
import {
  envelopeOf,
  isLogLevel,
  type LogLevel,
  META,
  onBehalfOf,
  type ProgramInfo,
  programIn,
} from "../../protocol/modern.ts";
import { olderCapabilities, olderQuestion, olderResult } from "../../protocol/older.ts";
import { unusableAnswer } from "../failure.ts";
import { nextRequestId } from "../request-ids.ts";
import type { Lease } from "../sessions/pool.ts";
import type { CallSession, Progress, SessionHolder } from "../sessions/session.ts";
import type { Asking, AskListener, Transport } from "../transports/transport.ts";
import { ChangeStream, changingLists } from "./change-stream.ts";
import { readDiscoverResult } from "./probe.ts";
import type { ModernAsking } from "./request.ts";
import { ModernSession } from "./session.ts";

/** What a client has said of itself in `initialize`. */
export interface Declared {
  readonly capabilities: JsonObject;
  /** Absent if it does not say, or not in so many words. */
  readonly client?: ProgramInfo;
}

export interface BridgedTransportOptions {
  /** Sends a request of 2026-07-28. @throws UpstreamFailure when there is no answer */
  readonly ask: (declared: Declared, asking: ModernAsking) => Promise<JsonRpcResponse>;
  /** The gateway's own program. */
  readonly clientInfo: ProgramInfo;
  /** Whether the server is a process of this gateway's, which no other gateway reaches. Absent: no. */
  readonly isOnlyHere?: boolean;
}

export interface StoredRequest extends Declared {
  /** As the server gets them. */
  readonly params: JsonObject;
}

/** How calls are made where the server has no sessions: each by requests of its own. */
export interface CallMaker {
  /** What a call uses in place of a session. */
  lease(holder: SessionHolder): Lease;
  /** What another gateway needs to make a call with these params; `undefined`: none can. */
  stored(params: JsonObject): StoredRequest | undefined;
}

/** How many resources one session may subscribe to, and how long their addresses may be together: the server gets all of them each time. */
const MAX_SUBSCRIBED = { uris: 1_000, chars: 65_536 };

/**
 * A session of an older revision with a server that speaks 2026-07-28 and has no sessions. It answers itself what that revision has not
 * (`initialize`, `ping`, `logging/setLevel`, subscriptions to resources), makes a request with an envelope of every other, and turns what
 * the server says into what older revisions say: questions that end a round become requests, and subscriptions notifications.
 */
export class BridgedTransport implements Transport {
  onMessage: Transport["onMessage"] = () => {};
  onGarbage: Transport["onGarbage"] = () => {};
  onLost: Transport["onLost"] = () => {};
  readonly calls: CallMaker = {
    lease: (holder) => this.#lease(holder),
    stored: (params) =>
      this.#options.isOnlyHere ? undefined : { ...this.#declared, params: this.#withEnvelope(params) },
  };

  readonly #options: BridgedTransportOptions;
  /** Requests without an answer. */
  readonly #asked = new Map<RequestId, AbortController>();
  /** Where the answers to the server's questions go. */
  readonly #questions = new Map<RequestId, CallSession>();
  #declared: Declared = { capabilities: {} };
  /** The server's, as it describes itself. */
  #capabilities: JsonObject = {};
  #logLevel: LogLevel | undefined;
  readonly #subscribed = new Set<string>();
  #changes: ChangeStream | undefined;

  constructor(options: BridgedTransportOptions) {
    this.#options = options;
  }

  ask(request: JsonRpcRequest, listener: AskListener = {}): Asking {
    const over = new AbortController();
    this.#asked.set(request.id, over);
    const ended = this.#answered(request, listener, over.signal)
      .then((answer) => this.onMessage(answer))
      .finally(() => {
        if (this.#asked.get(request.id) === over) this.#asked.delete(request.id);
      });
    return { ended, stop: () => over.abort("nobody waits for the answer") };
  }

  /** An answer to a question, or a cancellation; the revision has no other notification of a client. */
  async tell(message: JsonRpcMessage): Promise<void> {
    if (!("method" in message)) {
      const { id } = message;
      if (id === undefined) return;
      const asker = this.#questions.get(id);
      this.#questions.delete(id);
      await asker?.respond(id, message);
    } else if (message.method === "notifications/cancelled") {
      const { requestId, reason } = message.params ?? {};
      const why = typeof reason === "string" ? reason : "the client cancelled it";
      this.#asked.get(requestId as RequestId)?.abort(why);
    }
  }

  /** Every request names the revision itself. */
  setProtocolVersion(): void {}

  async initialized(): Promise<void> {
    this.#changes = new ChangeStream({
      listen: (notifications, signal, onNotification) =>
        this.#send(
          "subscriptions/listen",
          { notifications },
          { id: nextRequestId(), signal, onNotification },
        ),
      lists: changingLists(this.#capabilities),
      tell: (notification) => this.onMessage(notification),
      onGarbage: (error) => this.onGarbage(error),
    });
    await this.#changes.want(this.#subscribed);
  }

  async close(): Promise<void> {
    this.#changes?.close();
    for (const over of this.#asked.values()) over.abort("the session was closed");
  }

  /** @throws UpstreamFailure when there is no answer */
  async #answered(
    request: JsonRpcRequest,
    listener: AskListener,
    signal: AbortSignal,
  ): Promise<JsonRpcResponse> {
    const { id } = request;
    try {
      const answer = await this.#answer(request, listener, signal);
      return "error" in answer ? { ...answer, id } : { jsonrpc: "2.0", id, result: answer.result };
    } catch (error) {
      if (error instanceof RpcError) return { jsonrpc: "2.0", id, error: error.toJSON() };
      throw error;
    }
  }

  /** @throws RpcError, UpstreamFailure */
  async #answer(
    request: JsonRpcRequest,
    listener: AskListener,
    signal: AbortSignal,
  ): Promise<{ readonly result: JsonObject } | JsonRpcResponse> {
    const { method, params = {} } = request;
    switch (method) {
      case "initialize":
        return this.#initialize(params, listener, signal);
      case "ping":
        return { result: {} };
      case "logging/setLevel":
        if (!isLogLevel(params.level)) throw rpc.invalidParams("level must be a log level, such as info");
        this.#logLevel = params.level;
        return { result: {} };
      case "resources/subscribe":
      case "resources/unsubscribe":
        await this.#subscribe(params.uri, method === "resources/subscribe", method);
        return { result: {} };
      default:
        return this.#converse(request, listener, signal);
    }
  }

  /** The server describes itself in its answer to `server/discover`; the session has whichever older revision the client names. */
  async #initialize(
    { protocolVersion, capabilities, clientInfo }: JsonObject,
    { headers = {} }: AskListener,
    signal: AbortSignal,
  ): Promise<{ readonly result: JsonObject } | JsonRpcResponse> {
    const client = programIn(clientInfo);
    this.#declared = {
      capabilities: bridgedCapabilities(isObject(capabilities) ? capabilities : {}),
      ...(client && { client }),
    };
    const params = this.#withEnvelope({});
    const asking = { id: nextRequestId(), method: "server/discover", params, headers, signal };
    const response = await this.#options.ask(this.#declared, { ...asking, onNotification: () => {} });
    if ("error" in response) return response;
    const description = readDiscoverResult(response.result);
    if (description === undefined) throw unusableAnswer("it is no answer to server/discover");
    this.#capabilities = olderCapabilities(description.capabilities);
    const { serverInfo = this.#options.clientInfo, instructions } = description;
    const isKnown = typeof protocolVersion === "string" && LEGACY_VERSIONS.includes(protocolVersion);
    return {
      result: {
        protocolVersion: isKnown ? protocolVersion : LATEST_LEGACY_VERSION,
        capabilities: this.#capabilities,
        serverInfo,
        ...(instructions === undefined ? {} : { instructions }),
      },
    };
  }

  /** @throws RpcError when the server does not offer it, or the session has too many subscriptions */
  async #subscribe(uri: unknown, isWanted: boolean, method: string): Promise<void> {
    const { resources } = this.#capabilities;
    if (!isObject(resources) || resources.subscribe !== true) throw rpc.methodNotFound(method);
    if (typeof uri !== "string") throw rpc.invalidParams("uri must be a string");
    if (this.#subscribed.has(uri) === isWanted) return;
    if (isWanted) {
      const chars = [...this.#subscribed].reduce((sum, each) => sum + each.length, uri.length);
      if (this.#subscribed.size >= MAX_SUBSCRIBED.uris || chars > MAX_SUBSCRIBED.chars)
        throw rpc.invalidParams(
          `a session may subscribe to ${MAX_SUBSCRIBED.uris} resources, with ${MAX_SUBSCRIBED.chars} characters in all their URIs`,
        );
      this.#subscribed.add(uri);
    } else this.#subscribed.delete(uri);
    await this.#changes?.want(this.#subscribed);
  }

  /** One request of the client's, in as many rounds as the server wants. */
  async #converse(
    { method, params = {} }: JsonRpcRequest,
    { headers, room, onAccepted = () => {} }: AskListener,
    signal: AbortSignal,
  ): Promise<JsonRpcResponse> {
    const open = new Set<RequestId>();
    const session = this.#newSession({
      onRequest: (question, on) => {
        open.add(question.id);
        this.#questions.set(question.id, on);
        this.onMessage(olderQuestion(question, randomUUID()));
      },
      onNotification: (notification) => this.onMessage(notification),
    });
    const token = progressTokenIn(params);
    const onProgress = (progress: Progress) => {
      if (token !== undefined) this.onMessage(progressOf(token, progress));
    };
    const asked = session.request(method, params, { headers, room, onAccepted, onProgress });
    const stopListening = onAbort(signal, () => asked.cancel(String(signal.reason)));
    try {
      return await asked.response;
    } finally {
      stopListening();
      for (const id of open) this.#withdraw(id);
    }
  }

  /** Takes a question back that nobody has answered, because its request is over (2025-11-25, Cancellation). */
  #withdraw(id: RequestId): void {
    if (!this.#questions.delete(id)) return;
    this.onMessage({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: id } });
  }

  #lease(holder: SessionHolder): Lease {
    const session = this.#newSession({
      onRequest: (question, on, key) => holder.onRequest(olderQuestion(question, randomUUID()), on, key),
      onNotification: (notification) => holder.onNotification(notification),
    });
    return { session, isReused: false, release: () => session.close() };
  }

  #newSession(holder: SessionHolder): ModernSession {
    return new ModernSession({ send: (...request) => this.#send(...request), holder });
  }

  readonly #send = async (
    method: string,
    params: JsonObject,
    listener: Omit<ModernAsking, "method" | "params">,
  ): Promise<JsonRpcResponse> => {
    const asking = { ...listener, method, params: this.#withEnvelope(params) };
    const response = await this.#options.ask(this.#declared, asking);
    return "error" in response ? response : { ...response, result: olderResult(method, response.result) };
  };

  #withEnvelope(params: JsonObject): JsonObject {
    const { capabilities, client } = this.#declared;
    const level = this.#logLevel === undefined ? {} : { [META.logLevel]: this.#logLevel };
    const envelope = envelopeOf(onBehalfOf(client, this.#options.clientInfo), capabilities);
    return { ...params, _meta: { ...(isObject(params._meta) ? params._meta : {}), ...envelope, ...level } };
  }
}

function progressOf(progressToken: unknown, progress: Progress): JsonRpcNotification {
  return { jsonrpc: "2.0", method: "notifications/progress", params: { ...progress, progressToken } };
}
