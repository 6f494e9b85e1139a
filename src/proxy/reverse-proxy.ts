import { ClientRequest, type IncomingHttpHeaders, IncomingMessage, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { Stream } from "node:stream";
import util from "node:util";
import type HttpProxy from "http-proxy";
import { UpstreamFailure } from "../upstream/failure.ts";
import { ServerConnections } from "./connections.ts";
import { ForwardedExchange, type OpenRequest } from "./exchange.ts";

/** One request to forward, which the caller has read and checked. */
export interface Forwarding {
  /** http or https, path and query included. */
  readonly target: URL;
  /** Replace the client's headers of these names; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The client's headers that the server does not get, unless `headers` has them; names in lower case. */
  readonly withheld?: readonly string[] | undefined;
  /** The whole body, read and counted, to be sent exactly so, with its length; undefined: there is none. */
  readonly body?: Buffer | undefined;
  /**
   * Whether the request may be sent a second time when a kept-alive connection turns out to be dead before a byte of
   * the answer came. Never for `tools/call`.
   */
  readonly mayRepeat: boolean;
  /** How long the head of the answer may take; nothing limits the time between bytes. Absent: for ever. */
  readonly headTimeoutMs?: number;
  /**
   * Whether to send the request again, to another path of the same server, when the server redirects it there without taking it
   * (`redirectTarget`). A redirect to another origin fails the exchange.
   */
  readonly followsRedirects?: boolean;
  /** Gives the `Location` that the client gets in place of the server's, which was asked at `from`. */
  readonly relocate?: (location: string, from: URL) => string;
  /** Asks for no compression, because the gateway reads the answer. */
  readonly isPlain?: boolean;
  /**
   * Takes the head of the answer before anything of it reaches the client. Gives the filter between the server's bytes and the client;
   * undefined: they pass as they come. `forward` rejects with what it throws.
   */
  readonly onHead?: (head: AnswerHead) => Filter | undefined;
}

export interface AnswerHead {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

/** A filter between the server's bytes and the client. */
export interface Filter {
  /** Gives what the client gets in place of a chunk; may be empty. */
  take(chunk: Buffer): Buffer;
  /** Gives what is left to send after the server's last byte. Not called for an answer that was cut off. */
  finish(): Buffer;
  /** Gives the end of an answer that the server cut off; without one, the gateway cuts off the client's as well. */
  cutOff?(): Buffer | undefined;
}

export interface ReverseProxyOptions {
  /** How long to keep an unused connection: less than the 5 s after which node's servers close theirs. */
  readonly idleMs?: number;
}

const IDLE_MS = 4_000;
/** For all servers and callers. Connections in use have no limit: streams that are held for hours would keep calls from running. */
const MAX_IDLE_CONNECTIONS = 64;

/**
 * Forwards requests and answers as they are. http-proxy opens the request to the server; `ForwardedExchange` does everything after that,
 * because http-proxy leaves requests open that nobody waits for, and ends the process over headers that clients and servers may send.
 */
export class ReverseProxy {
  readonly #proxy = loadHttpProxy();
  readonly #nobody = new Nobody(new Socket());
  /** These two have every connection to a server. */
  readonly #kept: ServerConnections;
  readonly #fresh: ServerConnections;
  #isClosed = false;

  constructor({ idleMs = IDLE_MS }: ReverseProxyOptions = {}) {
    this.#kept = new ServerConnections({ idleMs, maxIdle: MAX_IDLE_CONNECTIONS });
    this.#fresh = new ServerConnections({ idleMs, maxIdle: 0 });
  }

  /**
   * Resolves when the exchange is over: the client has everything, has left, or was cut off because the server broke off. The caller reads
   * the body of the client's request.
   * @throws UpstreamFailure when there was no (usable) head of an answer: then nothing was written to the client, and the caller answers;
   * `mayHaveRun` is false only when nothing of the request was sent.
   * @throws what `onHead` throws, with nothing written either, and what its `Filter` throws, after cutting the client off
   */
  forward(request: IncomingMessage, response: ServerResponse, forwarding: Forwarding): Promise<void> {
    return new ForwardedExchange({ request, response, forwarding, open: this.#open }).run();
  }

  /** Destroys all connections, idle and in use: open exchanges end as if the servers had hung up. */
  close(): void {
    this.#isClosed = true;
    this.#kept.destroy();
    this.#fresh.destroy();
  }

  readonly #open: OpenRequest = ({ method, target, partition, response, isFirst, prepare }) => {
    if (this.#isClosed) throw new UpstreamFailure("The gateway is stopping", { mayHaveRun: !isFirst });
    if (target.protocol !== "https:" && target.protocol !== "http:")
      throw new TypeError(`${target.protocol} is neither http: nor https:`);
    // `node:http` takes an IPv6 address without the brackets.
    const host = target.hostname.replace(/^\[|\]$/g, "");
    const connections = isFirst ? this.#kept : this.#fresh;
    this.#proxy.web(this.#nobody, response, {
      target: { protocol: target.protocol, hostname: host, host, port: Number(target.port) },
      method,
      // `prepare` sets the path: http-proxy would make one slash of two, in queries as well.
      ignorePath: true,
      selfHandleResponse: true,
      buffer: new Handover(prepare),
      agent: connections.agentFor(target),
      // http-proxy passes only these options on as they are.
      ssl: { partition },
    });
  };
}

/** http-proxy asks a body to pipe itself into the request: at that moment the request exists, and nothing of it has been sent. */
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
 * Stands in for the client's request. http-proxy would copy its headers, change them, and listen to it for things that `ForwardedExchange`
 * handles. One serves all requests, so it must not collect listeners.
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
  // Every request has a listener of its own; without one here http-proxy throws the errors it gets.
  proxy.on("error", () => undefined);
  return proxy;
}
