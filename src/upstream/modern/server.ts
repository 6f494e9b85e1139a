import type { Logger } from "pino";
import { Recent } from "../../lib/recent.ts";
import { onAbort } from "../../lib/signal.ts";
import { declaresEvents } from "../../protocol/events.ts";
import { paramHeaders } from "../../protocol/headers.ts";
import { isObject, type JsonObject, type JsonRpcResponse } from "../../protocol/jsonrpc.ts";
import { declaresTasks, envelopeOf, onBehalfOf, type ProgramInfo } from "../../protocol/modern.ts";
import { ToolCatalogue } from "../catalogue.ts";
import { isUnusable, late, toFailure, UpstreamFailure, warnOfUnusable } from "../failure.ts";
import { inTime } from "../in-time.ts";
import type { Presence } from "../presence.ts";
import { nextRequestId } from "../request-ids.ts";
import type { Lease } from "../sessions/pool.ts";
import type { SessionHolder, SessionOwner } from "../sessions/session.ts";
import type { UpstreamAgents } from "../transports/agents.ts";
import { CookieJar } from "../transports/cookies.ts";
import { hasTasks, type ModernDescription } from "./probe.ts";
import { askModern, type ModernAsking } from "./request.ts";
import { ModernSession } from "./session.ts";

export interface ModernServerOptions {
  readonly url: URL;
  /** The configured headers, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly agents: Pick<UpstreamAgents, "next">;
  readonly clientInfo: ProgramInfo;
  readonly maxMessageBytes: number;
  readonly maxDepth?: number | undefined;
  readonly description: () => ModernDescription;
  /** Called when the server answered as one of an older revision would. */
  readonly onUnexpectedEra: (headers: Readonly<Record<string, string>>) => void;
  readonly log: Logger;
  /** Hears whether the server is there. Absent: nobody does. */
  readonly presence?: Presence | undefined;
  /** Called with the name of each tool that the server lists. */
  readonly onListed?: ((name: string) => void) | undefined;
}

/** How long the server may take to list its tools. */
const LIST_TIMEOUT_MS = 60_000;
/** At least half as many are kept. */
const MAX_CATALOGUES = 512;
const HEADER_MISMATCH = -32020;
const MISSING_CAPABILITY = -32021;

/** A server that speaks 2026-07-28 itself: no sessions, and every request is a POST of its own. */
export class ModernServer {
  readonly #options: ModernServerOptions;
  readonly #sessions = new Set<ModernSession>();
  readonly #catalogues = new Recent<string, ToolCatalogue>(MAX_CATALOGUES);
  readonly #open = new Set<AbortController>();

  constructor(options: ModernServerOptions) {
    this.#options = options;
  }

  /** The server's name and version, if it gives them. */
  get serverInfo(): JsonObject | undefined {
    return this.#options.description().serverInfo;
  }

  /** Whether the server creates tasks itself. */
  get hasTasks(): boolean {
    return hasTasks(this.#options.description());
  }

  /** Whether the server has events of its own to subscribe to. */
  get hasEvents(): boolean {
    return declaresEvents(this.#options.description().capabilities);
  }

  /** Returns what a call uses in place of a session. @param headers those of the client's request that are passed on */
  lease(owner: SessionOwner, headers: Readonly<Record<string, string>>, holder: SessionHolder): Lease {
    // The cookies keep all rounds of a call on the same node of the server.
    const cookies = new CookieJar(this.#options.url);
    const session = new ModernSession({
      send: (method, params, listener) =>
        this.ask(owner, {
          ...listener,
          method,
          params,
          headers: { ...headers, ...listener.headers },
          cookies,
        }),
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
   * Sends a request and waits for its answer until the signal is aborted.
   * @throws UpstreamFailure when there is no answer
   */
  async ask(owner: SessionOwner, asking: ModernAsking): Promise<JsonRpcResponse> {
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

  /** Call this when an answer was seen that no modern server gives. */
  recheck(headers: Readonly<Record<string, string>>): void {
    this.#options.onUnexpectedEra(headers);
  }

  /** Aborts all open requests. */
  close(): void {
    const failure = new UpstreamFailure("The gateway is stopping", { mayHaveRun: true });
    for (const session of this.#sessions) session.close();
    for (const stopped of this.#open) stopped.abort(failure);
  }

  async #post(
    owner: SessionOwner,
    { id, method, params, headers: given = {}, cookies, signal, ...listener }: ModernAsking,
    computed: Readonly<Record<string, string>>,
  ): Promise<JsonRpcResponse> {
    const { url, headers, agents, maxMessageBytes, maxDepth, presence } = this.#options;
    const stopped = new AbortController();
    const stopListening = onAbort(signal, () => stopped.abort(signal.reason));
    this.#open.add(stopped);
    try {
      const response = await askModern(
        { jsonrpc: "2.0", id, method, params },
        {
          url,
          headers: { ...given, ...owner.headers, ...headers, ...computed },
          http: { dispatcher: agents.next(owner.headers), maxMessageBytes, maxDepth, cookies },
          signal: stopped.signal,
          ...listener,
        },
      );
      presence?.answered();
      if (isOfOlderRevision(response) || (!this.hasTasks && wantsTasks(response)))
        this.recheck(owner.headers);
      return response;
    } catch (error) {
      const failure = toFailure(error);
      presence?.failed(failure);
      if (isUnusable(failure)) warnOfUnusable(this.#options.log, method, failure.message);
      if (isOfAnother(failure)) this.recheck(owner.headers);
      throw error;
    } finally {
      stopListening();
      this.#open.delete(stopped);
    }
  }

  /** The server's tools, which may depend on the caller and on what the client declares. */
  toolsOf(owner: SessionOwner): ToolCatalogue {
    const key = JSON.stringify([owner.caller, owner.headers, owner.capabilities, owner.client]);
    const known = this.#catalogues.get(key);
    if (known !== undefined) return known;
    const catalogue = new ToolCatalogue((...list) => this.#list(owner, ...list), this.#options.onListed);
    this.#catalogues.set(key, catalogue);
    return catalogue;
  }

  #list(owner: SessionOwner, method: string, params: JsonObject): Promise<JsonRpcResponse> {
    const _meta = envelopeOf(onBehalfOf(owner.client, this.#options.clientInfo), owner.capabilities);
    const stop = new AbortController();
    const asking = { id: nextRequestId(), method, params: { ...params, _meta }, signal: stop.signal };
    return inTime(LIST_TIMEOUT_MS, this.#post(owner, { ...asking, onNotification: () => {} }, {}), () => {
      const failure = late(method, LIST_TIMEOUT_MS);
      stop.abort(failure);
      return failure;
    });
  }
}

/** Whether no modern server gives this answer: a modern one names its kind in every result (2026-07-28, Overview §Responses). */
function isOfOlderRevision(response: JsonRpcResponse): boolean {
  return "result" in response
    ? response.result.resultType === undefined
    : isObject(response.error) && response.error.code <= -32000 && response.error.code >= -32019;
}

/** Whether the server, which had no tasks, has them now and requires clients that know them. */
function wantsTasks(response: JsonRpcResponse): boolean {
  const data =
    "error" in response && response.error.code === MISSING_CAPABILITY ? response.error.data : undefined;
  const required = isObject(data) ? data.requiredCapabilities : undefined;
  return isObject(required) && declaresTasks(required);
}

/** The statuses of a server that has no such endpoint, or requires a session first. */
function isOfAnother({ facts: { status } }: UpstreamFailure): boolean {
  return status === 400 || status === 404 || status === 405 || status === 406;
}
