/**
 * A client of the revisions with a handshake that is nothing but HTTP: what it is sent can be looked at, message by message,
 * and what it sends can be wrong. The counterpart of `modern-client.ts`.
 */

import { createParser } from "eventsource-parser";
import { type Dispatcher, request } from "undici";
import { expect, onTestFinished } from "vitest";
import type { Identify } from "../../src/http/callers/identify.ts";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { Conditions } from "./conditions.ts";
import type { Answer, Json } from "./modern-client.ts";

export interface LegacyWireOptions {
  /** The revision that is asked for, and has to be what was negotiated; 2025-11-25 unless given. */
  readonly version?: string;
  /** What the client declares; elicitation, sampling and roots unless given. */
  readonly capabilities?: JsonObject;
  /** Sent with every request. */
  readonly headers?: Headers;
}

type Headers = Readonly<Record<string, string | undefined>>;

export interface AskOptions {
  /** Added to, or instead of, the headers that the request should have; `undefined` leaves one out. */
  readonly headers?: Headers;
  readonly id?: unknown;
}

const EVERYTHING = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };

/** One session of a legacy client. */
export class LegacyWire {
  /** The result of `initialize`. */
  readonly initialized: Json;
  /** Undefined where the server has no sessions. */
  readonly sessionId: string | undefined;
  readonly #url: URL;
  readonly #headers: Headers;
  #lastId = 100;

  /** Opens a session. What it leaves open is closed when the test ends. */
  static async connect(url: URL, options: LegacyWireOptions = {}): Promise<LegacyWire> {
    const { version = "2025-11-25", capabilities = EVERYTHING, headers = {} } = options;
    const params = { protocolVersion: version, capabilities, clientInfo: { name: "wire", version: "0" } };
    const body = { jsonrpc: "2.0", id: 1, method: "initialize", params };
    const { message, headers: said, text } = await new WireStream(url, "POST", headers, body).answer;
    expect(message?.result?.protocolVersion, text).toBe(version);
    const sessionId = said["mcp-session-id"]?.toString();
    const wire = new LegacyWire(url, message.result, sessionId, {
      ...headers,
      "mcp-protocol-version": version,
      "mcp-session-id": sessionId,
    });
    await wire.notify("notifications/initialized");
    return wire;
  }

  private constructor(url: URL, initialized: Json, sessionId: string | undefined, headers: Headers) {
    this.#url = url;
    this.#headers = headers;
    this.initialized = initialized;
    this.sessionId = sessionId;
  }

  /** The same session at another address. */
  at(url: URL): LegacyWire {
    return new LegacyWire(url, this.initialized, this.sessionId, this.#headers);
  }

  /** Posts anything: strings as they are, the rest as JSON. Nothing is waited for. */
  post(body: unknown, headers: Headers = {}): WireStream {
    return new WireStream(this.#url, "POST", { ...this.#headers, ...headers }, body);
  }

  /** Sends a request, and shows what comes of it. */
  open(method: string, params: JsonObject = {}, options: AskOptions = {}): WireStream {
    this.#lastId += 1;
    const id = Object.hasOwn(options, "id") ? options.id : this.#lastId;
    return this.post({ jsonrpc: "2.0", id, method, params }, options.headers);
  }

  /** Sends a request and waits for the answer. */
  send(method: string, params: JsonObject = {}, options: AskOptions = {}): Promise<Answer> {
    return this.open(method, params, options).answer;
  }

  /** The `result` of a request; fails when there is none. */
  async result(method: string, params: JsonObject = {}, options: AskOptions = {}): Promise<Json> {
    const { message, text } = await this.send(method, params, options);
    if (message?.result === undefined) throw new Error(`${method} gave no result: ${text}`);
    return message.result;
  }

  /** The `error` of a request; fails when there is none. */
  async error(method: string, params: JsonObject = {}, options: AskOptions = {}): Promise<Json> {
    const { message, text } = await this.send(method, params, options);
    if (message?.error === undefined) throw new Error(`${method} gave no error: ${text}`);
    return message.error;
  }

  notify(method: string, params?: JsonObject): Promise<Answer> {
    return this.post({ jsonrpc: "2.0", method, ...(params && { params }) }).answer;
  }

  /** Answers a question: `{ result }` or `{ error }`. */
  respond(id: unknown, answer: JsonObject): Promise<Answer> {
    return this.post({ jsonrpc: "2.0", id, ...answer }).answer;
  }

  /** Opens the session's stream for whatever belongs to no request. Resolves when it is open, or refused. */
  async listen(headers: Headers = {}): Promise<WireStream> {
    const stream = new WireStream(this.#url, "GET", { ...this.#headers, ...headers });
    await stream.head;
    return stream;
  }

  /** Ends the session. */
  end(): Promise<Answer> {
    return new WireStream(this.#url, "DELETE", this.#headers).answer;
  }

  /** Calls a tool as a task; the task as the handle says it. */
  async begin(name: string, params: JsonObject = {}): Promise<Json> {
    const { task } = await this.result("tools/call", { name, arguments: {}, task: {}, ...params });
    return task;
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

  /** Polls until the task has this status. */
  taskThat(taskId: string, status: string): Promise<Json> {
    return this.taskWhen(taskId, (task) => task.status === status);
  }
}

type Head = Pick<Dispatcher.ResponseData, "statusCode" | "headers">;

/** One HTTP request and what comes of it, as it comes. */
export class WireStream {
  readonly messages: Json[] = [];
  /** What was sent as a message and is no JSON. */
  readonly garbage: string[] = [];
  /** The head of the answer. */
  readonly head: Promise<Head>;
  /** Everything, once it is there. Rejects when the connection broke. */
  readonly answer: Promise<Answer>;
  readonly #leaving = new AbortController();
  readonly #conditions = new Conditions(() => `heard so far: ${JSON.stringify(this.messages)}`);
  #text = "";
  #isOver = false;

  constructor(url: URL, method: "GET" | "POST" | "DELETE", headers: Headers, body?: unknown) {
    const all: Headers = {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      accept: method === "POST" ? "application/json, text/event-stream" : "text/event-stream",
      ...headers,
    };
    const given = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const response = request(url, {
      method,
      headers: Object.fromEntries(given),
      body: body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body),
      signal: this.#leaving.signal,
    });
    this.head = response;
    this.answer = response.then((answer) => this.#read(answer));
    // Whoever leaves does not look at what becomes of it.
    this.head.catch(() => undefined);
    this.answer
      .catch(() => undefined)
      .finally(() => {
        this.#isOver = true;
        this.#conditions.check();
      });
    onTestFinished(() => this.leave());
  }

  /** The body as far as it has come. */
  get text(): string {
    return this.#text;
  }

  /** The first message that is meant, as soon as it is there. */
  next(isMeant: (message: Json) => boolean, what = "a message"): Promise<Json> {
    return this.#conditions.found(() => this.messages.find(isMeant), what);
  }

  /** The nth request or notification of this method (counted from 1), as soon as it is there. */
  heard(method: string, nth = 1): Promise<Json> {
    const find = () => this.messages.filter((message) => message.method === method)[nth - 1];
    return this.#conditions.found(find, `message ${nth} of ${method}`);
  }

  /** Settles when the answer is complete, or the connection is over. */
  async over(): Promise<void> {
    await this.#conditions.found(() => this.#isOver || undefined, "the end of the answer");
  }

  /** Destroys the connection, unless the answer is complete. */
  leave(): void {
    this.#leaving.abort();
  }

  async #read({ statusCode: status, headers, body }: Dispatcher.ResponseData): Promise<Answer> {
    const isStream = String(headers["content-type"]).startsWith("text/event-stream");
    const decoder = new TextDecoder();
    const parser = createParser({ onEvent: ({ data }) => this.#take(data) });
    for await (const chunk of body) {
      const text = decoder.decode(chunk as Buffer, { stream: true });
      this.#text += text;
      if (isStream) parser.feed(text);
      this.#conditions.check();
    }
    if (String(headers["content-type"]).startsWith("application/json")) this.#take(this.#text);
    const [message, ...before] = this.messages.toReversed();
    return { status, headers, text: this.#text, message, before: before.toReversed() };
  }

  #take(text: string): void {
    try {
      this.messages.push(JSON.parse(text));
    } catch {
      this.garbage.push(text);
    }
  }
}

/** The task that a message says it belongs to. */
export function relatedTask(message: Json): unknown {
  return (message.params ?? message.result)?._meta?.["io.modelcontextprotocol/related-task"];
}

/** Tells callers apart by what they say their name is, for gateways in tests. */
export const byName: Identify = ({ headers }) => ({
  key: String(headers["x-user"]),
  isIdentified: true,
  headers: {},
});
