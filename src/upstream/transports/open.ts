import type { Logger } from "pino";
import type { HttpUpstreamConfig, UpstreamConfig } from "../../config/config.ts";
import type { ProgramInfo } from "../../protocol/modern.ts";
import { toFailure, UpstreamFailure, wantsLogin } from "../failure.ts";
import { EitherEraTransport } from "../modern/either-era.ts";
import { saysOneSession } from "../sessions/one-session.ts";
import type { UpstreamAgents } from "./agents.ts";
import { CheckedTransport } from "./checked-transport.ts";
import { CookieJar } from "./cookies.ts";
import { MessagePaths } from "./message-paths.ts";
import { withQuery } from "./redirect.ts";
import { SseTransport } from "./sse.ts";
import { StdioTransport } from "./stdio.ts";
import { StreamableHttpTransport } from "./streamable-http.ts";
import type { JoinedSession, RawTransport, Transport } from "./transport.ts";

export interface TransportsOptions {
  readonly config: UpstreamConfig;
  readonly agents: UpstreamAgents;
  /** The largest message of the server, in bytes. */
  readonly maxMessageBytes: number;
  /** How deep a message may be nested; 128 unless given. */
  readonly maxDepth?: number | undefined;
  /** The gateway's own program. */
  readonly clientInfo: ProgramInfo;
  readonly log: Logger;
  /** Known already, because clients have streams that are open. Absent: none. */
  readonly messagePaths?: MessagePaths | undefined;
}

type Headers = Readonly<Record<string, string>>;
/** Uses a transport, and closes it when that fails. */
export type Use<T> = (transport: Transport) => Promise<T>;

/** Statuses that show that a server of older revisions speaks no Streamable HTTP (2025-11-25, Transports §Backwards Compatibility). */
export const SPEAKS_SOMETHING_ELSE: ReadonlySet<unknown> = new Set([400, 404, 405]);
/** How long a server that is only guessed to speak HTTP+SSE has to prove it. */
const GUESS_MS = 2_000;

/** Makes the transports to one server, over the transport that it speaks. */
export class Transports {
  readonly #options: TransportsOptions;
  /** The paths to which an HTTP+SSE server wants messages posted. */
  readonly messagePaths: MessagePaths;
  /** Set when the server was found to speak HTTP+SSE: Streamable HTTP is not tried again until that fails. */
  #isSse = false;
  #isModern = false;

  constructor(options: TransportsOptions) {
    this.#options = options;
    this.messagePaths = options.messagePaths ?? new MessagePaths();
  }

  /**
   * Whether the gateway can forward clients of Streamable HTTP to the server unchanged. With `auto`, yes until the server has turned out not
   * to speak it.
   */
  get isStreamable(): boolean {
    const { transport } = this.#options.config;
    return transport === "streamable-http" || (transport === "auto" && !this.#isSse);
  }

  /** Whether a server over stdio has turned out to speak only 2026-07-28. */
  get isModern(): boolean {
    return this.#isModern;
  }

  /** Continues a session that another replica has opened. @throws UpstreamFailure */
  async rejoin<T>(headers: Headers, joined: JoinedSession, use: Use<T>): Promise<T> {
    if (!this.isStreamable) throw notStreamable();
    return use(this.#streamable(headers, joined));
  }

  /** Opens a session on a new transport. @throws UpstreamFailure */
  async open<T>(headers: Headers, use: Use<T>): Promise<T> {
    const { config, log, maxMessageBytes, maxDepth, clientInfo } = this.#options;
    switch (config.transport) {
      case "stdio":
        return use(
          new EitherEraTransport({
            transport: this.#checked(new StdioTransport({ ...config, log, maxMessageBytes, maxDepth })),
            clientInfo,
            onModern: () => {
              this.#isModern = true;
            },
          }),
        );
      case "streamable-http":
        return use(this.#streamable(headers));
      case "sse":
        return use(this.#sse(headers));
      case "auto":
        return this.#isSse ? this.#openSse(headers, use) : this.#openEither(headers, use);
    }
  }

  /**
   * A transport to a session that a client has opened over Streamable HTTP. The client keeps its own cookies and sends them among its headers.
   * @param query of the client's address, question mark included
   */
  join(headers: Headers, joined: JoinedSession, query = ""): Transport {
    const http = this.#http(headers);
    return this.#checked(new StreamableHttpTransport({ ...http, url: withQuery(http.url, query), joined }));
  }

  async #openEither<T>(headers: Headers, use: Use<T>): Promise<T> {
    try {
      return await use(this.#streamable(headers));
    } catch (error) {
      if (!SPEAKS_SOMETHING_ELSE.has(toFailure(error).facts.status)) throw error;
      const opened = await use(this.#sse(headers, GUESS_MS)).catch((other: unknown) => {
        // The server does speak the older transport, but wants a login or has its only session already.
        if (wantsLogin(toFailure(other)) || saysOneSession(toFailure(other))) throw other;
        return undefined;
      });
      // If the server does not speak the older transport either, its first answer says more.
      if (opened === undefined) throw error;
      this.#isSse = true;
      return opened;
    }
  }

  async #openSse<T>(headers: Headers, use: Use<T>): Promise<T> {
    try {
      return await use(this.#sse(headers));
    } catch (error) {
      // The server may have been replaced meanwhile; one that is down or wants a login has not.
      if (SPEAKS_SOMETHING_ELSE.has(toFailure(error).facts.status)) this.#isSse = false;
      throw error;
    }
  }

  /** @param rejoined a session that another replica has opened */
  #streamable(headers: Headers, rejoined?: JoinedSession): Transport {
    const cookies = this.#jar();
    const session = rejoined === undefined ? {} : { joined: rejoined, isOurs: true };
    cookies.take(this.#server.url, rejoined?.cookies ?? []);
    return this.#checked(new StreamableHttpTransport({ ...this.#http(headers, cookies), ...session }));
  }

  #sse(headers: Headers, openingMs?: number): Transport {
    const onPost = (path: string) => this.messagePaths.learn(path);
    const options = { ...this.#http(headers, this.#jar()), onPost };
    return this.#checked(new SseTransport(openingMs === undefined ? options : { ...options, openingMs }));
  }

  #checked(transport: RawTransport): Transport {
    return new CheckedTransport(transport, this.#options.log);
  }

  #jar(): CookieJar {
    return new CookieJar(this.#server.url);
  }

  get #server(): HttpUpstreamConfig {
    const { config } = this.#options;
    if (config.transport === "stdio") throw new Error(`${config.command} has no url`);
    return config;
  }

  #http(headers: Headers, cookies?: CookieJar) {
    const { agents, maxMessageBytes, maxDepth } = this.#options;
    const server = this.#server;
    const http = { dispatcher: agents.next(headers), maxMessageBytes, maxDepth, cookies };
    return { url: server.url, headers: { ...headers, ...server.headers }, http };
  }
}

function notStreamable(): UpstreamFailure {
  const message = "The server's transport has no sessions that can be joined again";
  return new UpstreamFailure(message, { mayHaveRun: true });
}
