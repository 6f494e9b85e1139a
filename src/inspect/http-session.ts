import { randomUUID } from "node:crypto";
import type { JsonObject, JsonRpcResponse } from "../protocol/jsonrpc.ts";
import { LATEST_LEGACY_VERSION } from "../protocol/legacy.ts";
import { readDescription } from "../upstreams/description.ts";
import { UpstreamFailure } from "../upstreams/failure.ts";
import type { Description, HttpFacts } from "./facts.ts";
import { CLIENT_INFO, descriptionOf } from "./sessions.ts";
import type { Speaker } from "./speaker.ts";
import type { Visit, Visitor } from "./visit.ts";

/** `initialize` as a client of the newest version that declares nothing. */
export const HELLO: JsonObject = {
  jsonrpc: "2.0",
  id: "hello",
  method: "initialize",
  params: { protocolVersion: LATEST_LEGACY_VERSION, capabilities: {}, clientInfo: CLIENT_INFO },
};

/** A session over Streamable HTTP, opened by hand to see what the server does with everything that is HTTP. */
export class HttpSession implements Speaker {
  readonly description: Description;
  readonly protocolVersion: string;
  readonly #visitor: Visitor;
  readonly #hello: Visit;
  readonly #id: string | undefined;
  #lastId = 0;
  #last: Visit;
  #get: Visit | undefined;
  #unknown: Visit | undefined;
  #goodbye: Visit | undefined;
  #isClosed = false;

  /**
   * @param hello the server's answer to `HELLO`
   * @throws UpstreamFailure when it names a version that we do not speak
   */
  constructor(visitor: Visitor, hello: Visit, result: JsonObject) {
    const described = readDescription(result);
    this.description = descriptionOf(described);
    this.protocolVersion = described.protocolVersion;
    this.#visitor = visitor;
    this.#hello = hello;
    this.#last = hello;
    this.#id = hello.headers["mcp-session-id"];
  }

  async initialized(): Promise<void> {
    await this.#visitor.post(
      { jsonrpc: "2.0", method: "notifications/initialized" },
      { headers: this.#headers(this.#id) },
    );
  }

  async ask(method: string, params: JsonObject = {}, timeoutMs?: number): Promise<JsonRpcResponse> {
    const options = timeoutMs === undefined ? {} : { timeoutMs };
    this.#last = await this.#post(method, params, this.#id, options);
    const { answer, status } = this.#last;
    if (answer !== undefined) return answer;
    throw new UpstreamFailure(`The server answered HTTP ${status} without a JSON-RPC message`, {
      mayHaveRun: true,
      status,
    });
  }

  /** Looks at what else there is to HTTP: GET, and a session that the server does not know. @throws UpstreamFailure */
  async look(): Promise<void> {
    this.#get = await this.#visitor.listen(this.#headers(this.#id));
    if (this.#id !== undefined) this.#unknown = await this.#post("ping", {}, randomUUID());
  }

  /** What has been seen so far; how the session ends, only when it has. */
  get facts(): HttpFacts {
    const seen = [this.#hello, this.#last];
    const retryMs = [...seen, this.#get].find((visit) => visit?.events.retryMs !== undefined)?.events.retryMs;
    return {
      answersAs: seen.some(({ isStream }) => isStream) ? "stream" : "json",
      hasSessions: this.#id !== undefined,
      ...(this.#unknown === undefined ? {} : { unknownSession: this.#unknown.status }),
      get: {
        ...(this.#get === undefined ? {} : { status: this.#get.status }),
        isStream: this.#get?.status === 200 && this.#get.isStream,
      },
      ...(this.#goodbye === undefined ? {} : { delete: this.#goodbye.status }),
      eventIds: { post: seen.some(({ events }) => events.hasIds), get: this.#get?.events.hasIds ?? false },
      ...(retryMs === undefined ? {} : { retryMs }),
    };
  }

  async close(): Promise<void> {
    if (this.#isClosed || this.#id === undefined) return;
    this.#isClosed = true;
    this.#goodbye = await this.#visitor.delete(this.#headers(this.#id)).catch(() => undefined);
  }

  #post(
    method: string,
    params: JsonObject,
    session: string | undefined,
    options: { readonly timeoutMs?: number } = {},
  ) {
    this.#lastId += 1;
    const message = { jsonrpc: "2.0", id: this.#lastId, method, params };
    return this.#visitor.post(message, { ...options, headers: this.#headers(session) });
  }

  #headers(session: string | undefined): Record<string, string> {
    return {
      "mcp-protocol-version": this.protocolVersion,
      ...(session === undefined ? {} : { "mcp-session-id": session }),
    };
  }
}
