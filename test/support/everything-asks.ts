import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js";
import {
  CreateMessageResultSchema,
  type ElicitRequestFormParams,
  type ElicitResult,
  ElicitResultSchema,
  ListRootsResultSchema,
  type ServerNotification,
  type ServerRequest,
} from "@modelcontextprotocol/sdk/types.js";

export type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;
export type Form = ElicitRequestFormParams["requestedSchema"];
export type Properties = Record<string, { type: "string" } | { type: "number" } | { type: "boolean" }>;

/**
 * What a tool or a prompt may ask of the client. Requests go out whether the client has declared the capability or not,
 * and each carries the key that the suite expects for it in `_meta["mcp-taskgate/key"]`.
 */
export class Asks {
  readonly #server: Server;
  readonly #options: { relatedRequestId?: Extra["requestId"] };

  /** Asks on the stream of the request that `extra` belongs to, or, as most v1 servers do, on the session's GET stream. */
  constructor(server: Server, extra: Extra, on: "call" | "session") {
    this.#server = server;
    this.#options = on === "call" ? { relatedRequestId: extra.requestId } : {};
  }

  get capabilities(): NonNullable<ReturnType<Server["getClientCapabilities"]>> {
    return this.#server.getClientCapabilities() ?? {};
  }

  async elicit(
    key: string,
    message: string,
    properties: Properties,
  ): Promise<NonNullable<ElicitResult["content"]>> {
    const form: Form = { type: "object", properties, required: Object.keys(properties) };
    return (await this.fill(key, message, form)).content ?? {};
  }

  /** Gives what was done with the form, and what it was filled with. */
  fill(key: string, message: string, requestedSchema: Form): Promise<ElicitResult> {
    const request = {
      method: "elicitation/create" as const,
      params: { message, requestedSchema, _meta: meta(key) },
    };
    return this.#server.request(request, ElicitResultSchema, this.#options);
  }

  /** Gives the text that the model answered. */
  async sample(key: string, prompt: string, maxTokens: number): Promise<string> {
    const messages = [{ role: "user" as const, content: { type: "text" as const, text: prompt } }];
    const request = {
      method: "sampling/createMessage" as const,
      params: { messages, maxTokens, _meta: meta(key) },
    };
    const { content } = await this.#server.request(request, CreateMessageResultSchema, this.#options);
    return content.type === "text" ? content.text : content.type;
  }

  /** Gives the URIs of the client's roots. */
  async roots(key: string): Promise<string[]> {
    const request = { method: "roots/list" as const, params: { _meta: meta(key) } };
    const { roots } = await this.#server.request(request, ListRootsResultSchema, this.#options);
    return roots.map(({ uri }) => uri);
  }
}

const meta = (key: string): { "mcp-taskgate/key": string } => ({ "mcp-taskgate/key": key });
