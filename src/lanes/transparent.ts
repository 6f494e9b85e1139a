import { ClientRequest, type IncomingHttpHeaders, IncomingMessage, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { Stream } from "node:stream";
import util from "node:util";
import type HttpProxy from "http-proxy";
import { UpstreamFailure } from "../upstreams/failure.ts";
import { ForwardedExchange, type OpenRequest } from "./forwarded-exchange.ts";
import { ServerConnections } from "./server-connections.ts";

/** One request to be forwarded. What the caller has read, checked and decided. */
export interface Forwarding {
  /** Where to: http or https, path and query included. */
  readonly target: URL;
  /** Replace the client's own; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Not sent to the server, unless they are among those; names in lower case. */
  readonly withheld?: readonly string[] | undefined;
  /** All of the body, read and counted; undefined where there was none. Sent exactly so, with its length. */
  readonly body?: Buffer | undefined;
  /**
   * Whether the request may be sent a second time when a kept-alive connection turns out to be dead before a byte of
   * the answer came. Never for `tools/call`.
   */
  readonly mayRepeat: boolean;
  /** How long the head of the answer may take; nothing limits the time between bytes. Absent: for ever. */
  readonly headTimeoutMs?: number;
  /**
   * Whether a request that the server did not take, but wants sent to another path of its own (`redirectTarget`), is sent there. Elsewhere
   * than to the same origin it is not: the exchange fails.
   */
  readonly followsRedirects?: boolean;
  /** Gives the `Location` that the client is told in place of the server's, which was asked at `from`. */
  readonly relocate?: (location: string, from: URL) => string;
  /** The answer is to be looked at: no compression is asked for. */
  readonly isPlain?: boolean;
  /**
   * Called with the head of the answer before anything of it reaches the client. What it gives stands between the
   * server's bytes and the client; undefined: they go as they come. What it throws, `forward` rejects with.
   */
  readonly onHead?: (head: AnswerHead) => Passage | undefined;
}

export interface AnswerHead {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

/** What stands between the server's bytes and the client. */
export interface Passage {
  /** What the client gets in place of a chunk; may be empty. */
  take(chunk: Buffer): Buffer;
  /** What is left to send when the server has said everything. Not called for an answer that was cut off. */
  finish(): Buffer;
  /** What the client gets as the end of an answer that was cut off; without it, or nothing, the client's is cut off as well. */
  cutOff?(): Buffer | undefined;
}

export interface TransparentLaneOptions {
  /** How long a connection is kept when nobody uses it. Below the 5 s after which node's servers close theirs. */
  readonly idleMs?: number;
}

const IDLE_MS = 4_000;
/** Of all servers and callers. Connections in use have no limit: streams that are held for hours would keep calls from running. */
const MAX_IDLE_CONNECTIONS = 64;

/**
 * Forwards requests as they are, and answers as they come. http-proxy opens the request to the server; everything that
 * happens to the two from then on is `ForwardedExchange`'s, because http-proxy leaves requests open that nobody waits
 * for, and ends the process over headers that clients and servers may send.
 */
export class TransparentLane {
  readonly #proxy = loadHttpProxy();
  readonly #nobody = new Nobody(new Socket());
  /** Together they know every connection to a server. */
  readonly #kept: ServerConnections;
  readonly #fresh: ServerConnections;
  #isClosed = false;

  constructor({ idleMs = IDLE_MS }: TransparentLaneOptions = {}) {
    this.#kept = new ServerConnections({ idleMs, maxIdle: MAX_IDLE_CONNECTIONS });
    this.#fresh = new ServerConnections({ idleMs, maxIdle: 0 });
  }

  /**
   * Resolves when the exchange is over: the client has everything, or was cut off because the server broke off, or has
   * left. The body of the client's request is the caller's to read.
   * @throws UpstreamFailure when there was no (usable) head of an answer: then nothing was written to the client, and
   * the caller answers; `mayHaveRun` is false only when nothing of the request was sent.
   * @throws whatever `onHead` throws, with nothing written either, and what its `Passage` throws, after cutting the client
   */
  forward(request: IncomingMessage, response: ServerResponse, forwarding: Forwarding): Promise<void> {
    return new ForwardedExchange({ request, response, forwarding, open: this.#open }).run();
  }

  /** Destroys the connections that are kept and those in use: whatever is open ends as if the servers had hung up. */
  close(): void {
    this.#isClosed = true;
    this.#kept.destroy();
    this.#fresh.destroy();
  }

  readonly #open: OpenRequest = ({ method, target, partition, response, isFirst, prepare }) => {
    if (this.#isClosed) throw new UpstreamFailure("The gateway is stopping", { mayHaveRun: !isFirst });
    if (target.protocol !== "https:" && target.protocol !== "http:")
      throw new TypeError(`${target.protocol} is neither http: nor https:`);
    // `node:http` knows an IPv6 address by itself, without the brackets.
    const host = target.hostname.replace(/^\[|\]$/g, "");
    const connections = isFirst ? this.#kept : this.#fresh;
    this.#proxy.web(this.#nobody, response, {
      target: { protocol: target.protocol, hostname: host, host, port: Number(target.port) },
      method,
      // The path is set when the request is prepared: http-proxy would make one slash of two, in queries as well.
      ignorePath: true,
      selfHandleResponse: true,
      buffer: new Handover(prepare),
      agent: connections.agentFor(target),
      // The only options of its own that http-proxy passes on as they are.
      ssl: { partition },
    });
  };
}

/** http-proxy asks a body to pipe itself into the request: the moment at which that is there, and nothing of it sent. */
class Handover extends Stream {
  readonly #prepare: (request: ClientRequest) => void;

  constructor(prepare: (request: ClientRequest) => void) {
    super();
    this.#prepare = prepare;
  }

  override pipe<T extends NodeJS.WritableStream>(request: T): T {
    if (!(request instanceof ClientRequest)) throw new TypeError("http-proxy opened no request of node:http");
    this.#prepare(request);
    return request;
  }
}

/**
 * Stands in for the client's request. http-proxy would copy its headers, change them, and listen to it for things that
 * `ForwardedExchange` sees to; one for all, it must not collect listeners.
 */
class Nobody extends IncomingMessage {
  override on(): this {
    return this;
  }
}

/** http-proxy takes `util._extend` when it is loaded, of which node 22 and later warn (DEP0060). */
function loadHttpProxy(): HttpProxy {
  const deprecated = Object.getOwnPropertyDescriptor(util, "_extend");
  Object.assign(util, { _extend: Object.assign });
  const { createProxyServer }: typeof HttpProxy = createRequire(import.meta.url)("http-proxy");
  if (deprecated) Object.defineProperty(util, "_extend", deprecated);
  const proxy = createProxyServer();
  // Every request has a listener of its own; without one here http-proxy throws what it meets.
  proxy.on("error", () => undefined);
  return proxy;
}
