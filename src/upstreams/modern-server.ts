import type { Logger } from "pino";
import type { Dispatcher } from "undici";
import { paramHeaders } from "../protocol/headers.ts";
import type { JsonObject, JsonRpcNotification, JsonRpcResponse, RequestId } from "../protocol/jsonrpc.ts";
import { isObject } from "../protocol/jsonrpc.ts";
import { declaresTasks, envelopeOf } from "../protocol/modern.ts";
import { ToolCatalogue } from "./catalogue.ts";
import { CookieJar } from "./cookies.ts";
import { isUnusable, late, toFailure, UpstreamFailure, warnOfUnusable } from "./failure.ts";
import { upstreamFetch } from "./fetch.ts";
import { inTime } from "./in-time.ts";
import { askModern } from "./modern-request.ts";
import { ModernSession } from "./modern-session.ts";
import type { Lease } from "./pool.ts";
import { hasTasks, type ModernDescription } from "./probe.ts";
import { nextRequestId } from "./request-ids.ts";
import type { SessionHolder } from "./session.ts";

/** Whose request it is. */
export interface ModernOwner {
  readonly caller: string;
  /** The caller's own headers that are passed on. */
  readonly headers: Readonly<Record<string, string>>;
  /** What the caller declared. */
  readonly capabilities: JsonObject;
}

export interface ModernServerOptions {
  readonly url: URL;
  /** The configured headers, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The connections for another request. */
  readonly nextDispatcher: (headers: Readonly<Record<string, string>>) => Dispatcher;
  readonly clientInfo: { readonly name: string; readonly version: string };
  readonly maxMessageBytes: number;
  readonly maxDepth?: number | undefined;
  readonly description: () => ModernDescription;
  /** The server answered as one of an older revision would. */
  readonly onDoubt: (headers: Readonly<Record<string, string>>) => void;
  readonly log: Logger;
}

/** One request of a client's, for the server to answer. */
export interface ModernAsking {
  readonly id: RequestId;
  readonly method: string;
  readonly params: JsonObject;
  /** Headers that the client's request came with and that go along, if they are not computed anew. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the call that the request is a part of. Absent: what the server sets is not kept. */
  readonly cookies?: CookieJar;
  /** Closes the stream when it is aborted, which cancels the request. */
  readonly signal: AbortSignal;
  onNotification(notification: JsonRpcNotification): void;
  onAccepted?(): void;
}

/** How long the server may take for its list of tools. */
const LIST_TIMEOUT_MS = 60_000;
const MAX_CATALOGUES = 256;
const HEADER_MISMATCH = -32020;
const MISSING_CAPABILITY = -32021;

/** A server that speaks 2026-07-28 itself: it has no sessions, and every request is a POST of its own. */
export class ModernServer {
  readonly #options: ModernServerOptions;
  readonly #sessions = new Set<ModernSession>();
  readonly #catalogues = new Map<string, ToolCatalogue>();
  readonly #open = new Set<AbortController>();

  constructor(options: ModernServerOptions) {
    this.#options = options;
  }

  /** Who it is, as far as it says so. */
  get serverInfo(): JsonObject | undefined {
    return this.#options.description().serverInfo;
  }

  /** Whether it makes tasks itself. */
  get hasTasks(): boolean {
    return hasTasks(this.#options.description());
  }

  /** What a call needs in place of a session. `headers`: those of the client's request that go along. */
  lease(owner: ModernOwner, headers: Readonly<Record<string, string>>, holder: SessionHolder): Lease {
    // The rounds of a call had better come to the same node of the server.
    const cookies = new CookieJar(this.#options.url);
    const session = new ModernSession({
      send: (method, params, listener) => this.ask(owner, { ...listener, method, params, headers, cookies }),
      holder,
    });
    this.#sessions.add(session);
    const release = () => {
      this.#sessions.delete(session);
      session.close();
    };
    return { session, isReused: false, release };
  }

  /**
   * Asks the server, and waits for its answer for as long as the signal lets it.
   * @throws UpstreamFailure when there is none
   */
  async ask(owner: ModernOwner, asking: ModernAsking): Promise<JsonRpcResponse> {
    const { method, params } = asking;
    const { name, arguments: args } = params;
    const tool = method === "tools/call" && typeof name === "string" ? name : undefined;
    const mirror = async () =>
      tool === undefined ? {} : paramHeaders(await this.toolsOf(owner).headerParams(tool), args);
    const headers = await mirror();
    const response = await this.#post(owner, asking, headers);
    if (tool === undefined || !("error" in response) || response.error.code !== HEADER_MISMATCH)
      return response;
    // The tool's schema may have changed. A call that was refused for its headers has not run, so sending it again is safe
    // (Streamable HTTP §Client Behavior).
    this.toolsOf(owner).invalidate();
    const others = await mirror();
    const isSame = JSON.stringify(others) === JSON.stringify(headers);
    return isSame ? response : this.#post(owner, { ...asking, id: nextRequestId() }, others);
  }

  /** An answer was seen that no modern server gives. */
  doubt(headers: Readonly<Record<string, string>>): void {
    this.#options.onDoubt(headers);
  }

  /** Gives up all that is under way. */
  close(): void {
    const failure = new UpstreamFailure("The gateway is stopping", { mayHaveRun: true });
    for (const session of this.#sessions) session.close();
    for (const stopped of this.#open) stopped.abort(failure);
  }

  async #post(
    owner: ModernOwner,
    { id, method, params, headers: given = {}, cookies, signal, ...listener }: ModernAsking,
    computed: Readonly<Record<string, string>>,
  ): Promise<JsonRpcResponse> {
    const { url, headers, nextDispatcher, maxMessageBytes, maxDepth } = this.#options;
    const stopped = new AbortController();
    const onAbort = () => stopped.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort);
    this.#open.add(stopped);
    try {
      const response = await askModern(
        { jsonrpc: "2.0", id, method, params },
        {
          url,
          headers: { ...given, ...owner.headers, ...headers, ...computed },
          fetch: upstreamFetch({
            dispatcher: nextDispatcher(owner.headers),
            maxMessageBytes,
            maxDepth,
            cookies,
          }),
          signal: stopped.signal,
          ...listener,
        },
      );
      if (isOfOlderRevision(response) || (!this.hasTasks && wantsTasks(response))) this.doubt(owner.headers);
      return response;
    } catch (error) {
      const failure = toFailure(error);
      if (isUnusable(failure)) warnOfUnusable(this.#options.log, method, failure.message);
      if (isOfAnother(failure)) this.doubt(owner.headers);
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#open.delete(stopped);
    }
  }

  /** Its tools, which may depend on who asks, and on what they declare. */
  toolsOf(owner: ModernOwner): ToolCatalogue {
    const key = JSON.stringify([owner.caller, owner.headers, owner.capabilities]);
    const catalogue = this.#catalogues.get(key) ?? new ToolCatalogue((...list) => this.#list(owner, ...list));
    // The one that was used last is the last to go.
    this.#catalogues.delete(key);
    this.#catalogues.set(key, catalogue);
    const [oldest] = this.#catalogues.keys();
    if (this.#catalogues.size > MAX_CATALOGUES && oldest !== undefined) this.#catalogues.delete(oldest);
    return catalogue;
  }

  #list(owner: ModernOwner, method: string, params: JsonObject): Promise<JsonRpcResponse> {
    const _meta = envelopeOf(this.#options.clientInfo, owner.capabilities);
    const stop = new AbortController();
    const asking = { id: nextRequestId(), method, params: { ...params, _meta }, signal: stop.signal };
    return inTime(LIST_TIMEOUT_MS, this.#post(owner, { ...asking, onNotification: () => {} }, {}), () => {
      const failure = late(method, LIST_TIMEOUT_MS);
      stop.abort(failure);
      return failure;
    });
  }
}

/** A modern server says in every result of which kind it is (2026-07-28, Overview §Responses); an older one never does. */
function isOfOlderRevision(response: JsonRpcResponse): boolean {
  return "result" in response
    ? response.result.resultType === undefined
    : isObject(response.error) && response.error.code <= -32000 && response.error.code >= -32019;
}

/** A server that had no tasks has them now, and wants its clients to know them. */
function wantsTasks(response: JsonRpcResponse): boolean {
  const data =
    "error" in response && response.error.code === MISSING_CAPABILITY ? response.error.data : undefined;
  const required = isObject(data) ? data.requiredCapabilities : undefined;
  return isObject(required) && declaresTasks(required);
}

/** How a server refuses that has no such endpoint, or wants a session first. */
function isOfAnother({ facts: { status } }: UpstreamFailure): boolean {
  return status === 400 || status === 404 || status === 405 || status === 406;
}
