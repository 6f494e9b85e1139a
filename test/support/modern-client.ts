/** A client of 2026-07-28 that is nothing but HTTP: what it is sent can be looked at, and what it sends can be wrong. */

import { createParser } from "eventsource-parser";
import { type Dispatcher, request } from "undici";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";

/** JSON as a test looks into it. */
// biome-ignore lint/suspicious/noExplicitAny: a test says what it expects by looking it up
export type Json = any;

/** The answer to a request over HTTP, in either era. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The body as it came. */
  readonly text: string;
  /** The last message: the answer itself. `undefined` when there is none. */
  readonly message: Json;
  /** What came before it, on a stream. */
  readonly before: readonly Json[];
}

export interface ModernClientOptions {
  readonly capabilities?: JsonObject;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface CallOptions {
  /** Added to, or instead of, the headers that the request should have; `undefined` leaves one out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Added to `_meta`. */
  readonly meta?: JsonObject;
  readonly id?: unknown;
  readonly signal?: AbortSignal;
}

export const TASKS = { extensions: { "io.modelcontextprotocol/tasks": {} } } as const;
const NAME_FIELD: Readonly<Record<string, string>> = { "resources/read": "uri" };

export class ModernClient {
  readonly #url: URL;
  readonly #options: ModernClientOptions;
  #lastId = 0;

  /** Declares tasks and nothing else, unless told otherwise. */
  constructor(url: URL, options: ModernClientOptions = {}) {
    this.#url = url;
    this.#options = options;
  }

  /** Sends a request as it should be, but for what `options` change, and waits for the answer. */
  async send(method: string, params: JsonObject = {}, options: CallOptions = {}): Promise<Answer> {
    return read(await this.open(method, params, options));
  }

  /** The `result` of a request; fails when there is none. */
  async result(method: string, params: JsonObject = {}, options: CallOptions = {}): Promise<Json> {
    const { message, text } = await this.send(method, params, options);
    if (message?.result === undefined) throw new Error(`${method} gave no result: ${text}`);
    return message.result;
  }

  callTool(
    name: string,
    args: JsonObject = {},
    options: CallOptions & { params?: JsonObject } = {},
  ): Promise<Json> {
    return this.result("tools/call", { name, arguments: args, ...options.params }, options);
  }

  task(taskId: string): Promise<Json> {
    return this.result("tasks/get", { taskId });
  }

  /** Polls until the task is as wanted. */
  async taskWhen(taskId: string, isWanted: (task: Json) => boolean): Promise<Json> {
    const deadline = Date.now() + 60_000;
    for (;;) {
      const task = await this.task(taskId);
      if (isWanted(task)) return task;
      if (Date.now() > deadline) throw new Error(`the task never became as wanted: ${JSON.stringify(task)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  settled(taskId: string): Promise<Json> {
    return this.taskWhen(taskId, ({ status }) => !["working", "input_required"].includes(status));
  }

  /** Opens a stream of messages, which ends when the test aborts `options.signal` or the gateway is done. */
  async *stream(method: string, params: JsonObject, options: CallOptions = {}): AsyncGenerator<Json> {
    const { body } = await this.open(method, params, options);
    const queue: Json[] = [];
    const parser = createParser({ onEvent: ({ data }) => queue.push(JSON.parse(data)) });
    try {
      for await (const chunk of body) {
        parser.feed(String(chunk));
        yield* queue.splice(0);
      }
    } catch (error) {
      if (!options.signal?.aborted) throw error;
    }
  }

  /** The HTTP response, body unread. */
  open(method: string, params: JsonObject = {}, options: CallOptions = {}): Promise<Dispatcher.ResponseData> {
    this.#lastId += 1;
    const name = params.name ?? params.taskId ?? params[NAME_FIELD[method] ?? ""];
    const meta = {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientInfo": { name: "test", version: "0" },
      "io.modelcontextprotocol/clientCapabilities": this.#options.capabilities ?? TASKS,
      ...options.meta,
    };
    const id = Object.hasOwn(options, "id") ? options.id : this.#lastId;
    const headers = {
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": method,
      ...(typeof name === "string" ? { "mcp-name": name } : {}),
      ...options.headers,
    };
    return this.post(
      JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta: meta } }),
      headers,
      options.signal,
    );
  }

  /** Posts a body as it is. */
  post(
    body: string | Buffer,
    headers: Readonly<Record<string, string | undefined>> = {},
    signal?: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const all = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...this.#options.headers,
      ...headers,
    };
    const given = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined);
    return request(this.#url, {
      method: "POST",
      body,
      headers: Object.fromEntries(given),
      signal: signal ?? null,
    });
  }
}

/** Reads a response to its end. */
export async function read({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<Answer> {
  const text = await body.text();
  const messages: Json[] = [];
  if (String(headers["content-type"]).startsWith("text/event-stream")) {
    createParser({ onEvent: ({ data }) => messages.push(JSON.parse(data)) }).feed(text);
  } else if (text !== "") {
    messages.push(JSON.parse(text));
  }
  return { status: statusCode, headers, text, message: messages.at(-1), before: messages.slice(0, -1) };
}
