import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { JsonObject, RequestId } from "../../src/protocol/jsonrpc.ts";
import { type Ask, EventStream } from "./event-stream.ts";

/** A message that a client posted; which fields it has is for the test to say. */
export interface Received {
  readonly method: string;
  readonly message: JsonObject & { readonly id?: RequestId; readonly params?: JsonObject };
  readonly headers: IncomingHttpHeaders;
}

export interface ScriptedSession {
  /** Undefined on a stateless server, and for a request in no session. */
  readonly id: string | undefined;
  /** What the client sent as params of `initialize`. */
  readonly initialize: JsonObject;
  /** The standalone GET stream while there is one; the newest, when there are several. */
  stream: EventStream | undefined;
}

/** One HTTP request and the answer to it. The last thing a script does here may well be nothing: then the client waits. */
export class Exchange implements Received {
  readonly method: string;
  readonly message: Received["message"];
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The session of the request; a new one for `initialize`, and always the same one where the server has none. */
  readonly session: ScriptedSession;
  /** Settles with the reason when a `notifications/cancelled` names this request. */
  readonly cancelled: Promise<unknown>;
  /** Settles when the answer is complete or the client hung up. */
  readonly closed: Promise<void>;
  /** To be called when the request has been cancelled. */
  readonly cancel: (reason: unknown) => void;
  readonly #ask: Ask;

  constructor(
    from: Pick<Exchange, "method" | "message" | "request" | "response" | "session"> & { readonly ask: Ask },
  ) {
    this.method = from.method;
    this.message = from.message;
    this.request = from.request;
    this.response = from.response;
    this.session = from.session;
    this.#ask = from.ask;
    this.closed = new Promise((resolve) => from.response.once("close", () => resolve()));
    let cancel: (reason: unknown) => void = () => undefined;
    this.cancelled = new Promise((resolve) => {
      cancel = resolve;
    });
    this.cancel = cancel;
  }

  get headers(): IncomingHttpHeaders {
    return this.request.headers;
  }

  /** The answer as a message, for `json`-less ways to send it: `stream.event(exchange.answer({ content: [] }))`. */
  answer(result: JsonObject): JsonObject {
    return { jsonrpc: "2.0", id: this.message.id, result };
  }

  /** Answers with a result, as JSON. */
  json(result: JsonObject, headers?: Record<string, string>): void {
    this.reply(200, this.answer(result), headers);
  }

  /** Answers with the result of a tool that says one thing. */
  text(text: string): void {
    this.json({ content: [{ type: "text", text }] });
  }

  /** Answers with a JSON-RPC error, with HTTP 200 unless it is said otherwise. */
  error(
    code: number,
    message: string,
    { data, status = 200 }: { data?: unknown; status?: number } = {},
  ): void {
    const error = { code, message, ...(data === undefined ? {} : { data }) };
    this.reply(status, { jsonrpc: "2.0", id: this.message.id ?? null, error });
  }

  /** 202, which is right for a notification and wrong for a request. */
  accept(): void {
    this.response.writeHead(202).end();
  }

  /** Anything: objects as JSON, strings as HTML unless a header says otherwise. */
  reply(status: number, body: unknown, headers: Record<string, string> = {}): void {
    const type = typeof body === "string" ? "text/html; charset=utf-8" : "application/json";
    const session = this.method === "initialize" && this.session.id !== undefined;
    this.response.writeHead(status, {
      "content-type": type,
      ...(session ? { "mcp-session-id": this.session.id } : {}),
      ...headers,
    });
    this.response.end(typeof body === "string" ? body : JSON.stringify(body));
  }

  /** Begins to answer with an event stream. */
  sse(headers?: Record<string, string>): EventStream {
    const session = this.method === "initialize" ? this.session.id : undefined;
    return new EventStream(this.response, this.#ask, {
      ...(session === undefined ? {} : { "mcp-session-id": session }),
      ...headers,
    });
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.response.destroy();
  }
}
