/** The server's end of an event stream, with everything a well-behaved and a badly behaved server can do to it. */

import type { ServerResponse } from "node:http";
import type { JsonObject, JsonRpcResponse, RequestId } from "../../src/protocol/jsonrpc.ts";

export interface EventFields {
  readonly id?: string;
  readonly retry?: number;
  readonly event?: string;
}

/** Sends a request of the server's and settles with the client's answer; how that arrives is the server's affair. */
export type Ask = (
  write: (message: JsonObject) => void,
  method: string,
  params: JsonObject | undefined,
  id: RequestId | undefined,
) => Promise<JsonRpcResponse>;

export class EventStream {
  /** Settles when the stream is over, whoever ended it. */
  readonly closed: Promise<void>;
  readonly #response: ServerResponse;
  readonly #ask: Ask;

  /** Writes the head of the answer: from here on it is an event stream. */
  constructor(response: ServerResponse, ask: Ask, headers: Record<string, string> = {}) {
    this.#response = response;
    this.#ask = ask;
    this.closed = new Promise((resolve) => response.once("close", () => resolve()));
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store", ...headers });
    response.flushHeaders();
  }

  get isOpen(): boolean {
    return !this.#response.writableEnded && !this.#response.destroyed;
  }

  /** One event. Data that is not a string is written as JSON. */
  event(data: unknown, { id, retry, event }: EventFields = {}): this {
    const lines = [
      ...(event === undefined ? [] : [`event: ${event}`]),
      ...(id === undefined ? [] : [`id: ${id}`]),
      ...(retry === undefined ? [] : [`retry: ${retry}`]),
      ...(typeof data === "string" ? data : JSON.stringify(data)).split("\n").map((line) => `data: ${line}`),
    ];
    return this.raw(`${lines.join("\n")}\n\n`);
  }

  /** These bytes as they are. */
  raw(bytes: string | Uint8Array): this {
    this.#response.write(bytes);
    return this;
  }

  notify(method: string, params?: JsonObject, fields?: EventFields): this {
    return this.event({ jsonrpc: "2.0", method, ...(params && { params }) }, fields);
  }

  /** Asks the client on this stream. The id is minted unless given, and may well be 0. */
  ask(method: string, params?: JsonObject, id?: RequestId): Promise<JsonRpcResponse> {
    return this.#ask((message) => this.event(message), method, params, id);
  }

  /** Ends the stream in good order. */
  end(): void {
    this.#response.end();
  }

  /** Cuts the connection in the middle of the body, once what was written is on its way. */
  cut(): void {
    this.#response.socket?.destroySoon();
  }
}
