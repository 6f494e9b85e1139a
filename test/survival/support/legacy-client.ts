import { createParser } from "eventsource-parser";
import { type Dispatcher, request } from "undici";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import type { Json } from "../../support/modern-client.ts";
import type { TaskAnswer, TaskClient } from "./clients.ts";

type Headers = Readonly<Record<string, string>>;

const VERSION = "2025-11-25";
const CAPABILITIES = { elicitation: { form: {} } };
const TYPES = { accept: "application/json, text/event-stream", "content-type": "application/json" };
const DONE: TaskAnswer = { status: 200, message: { result: {} }, text: "" };
const WORKING = ["working", "input_required"];

/** A client of 2025-11-25, one session of it. What it is asked in the words of 2026-07-28 it says in its own, and so with the answers. */
export class LegacyTaskClient implements TaskClient {
  readonly #url: URL;
  readonly #session: Promise<Headers>;
  #lastId = 0;

  /** The session is the server's, so that gateways may come and go. */
  static async connect(url: URL): Promise<LegacyTaskClient> {
    const client = new LegacyTaskClient(url);
    await client.#session;
    return client;
  }

  private constructor(url: URL) {
    this.#url = url;
    this.#session = this.#open();
  }

  async send(method: string, params: JsonObject, { signal }: { signal?: AbortSignal }): Promise<TaskAnswer> {
    switch (method) {
      case "tools/call": {
        const answer = await this.#ask(method, { ...params, task: {} }, signal);
        return withResult(answer, answer.message?.result?.task);
      }
      case "tasks/get":
        return this.#get(params, signal);
      case "tasks/update": {
        for (const [id, result] of Object.entries(params.inputResponses as JsonObject)) {
          const refused = await first(await this.#post({ id, result }, signal));
          if (refused.message !== undefined) return refused;
        }
        return DONE;
      }
      case "tasks/cancel": {
        const answer = await this.#ask(method, params, signal);
        // It had ended before, which the other generation takes for no error.
        return /already in terminal status/.test(answer.message?.error?.message) ? DONE : answer;
      }
      default:
        return this.#ask(method, params, signal);
    }
  }

  /** The task, with its result, or with its question under the id that it was asked with. */
  async #get(params: JsonObject, signal: AbortSignal | undefined): Promise<TaskAnswer> {
    const answer = await this.#ask("tasks/get", params, signal);
    const task = answer.message?.result;
    if (task === undefined || task.status === "working") return answer;
    const more = await this.#ask("tasks/result", params, signal);
    const { message } = more;
    if (message?.method !== undefined)
      return withResult(more, { ...task, inputRequests: { [message.id]: message.params } });
    if (message?.error?.data?.retryable) return more;
    // It was answered, and has ended, in between.
    if (WORKING.includes(task.status)) return withResult(more, { ...task, status: "working" });
    const { result, error } = message ?? {};
    return message === undefined ? more : withResult(more, { ...task, result, error });
  }

  async #open(): Promise<Headers> {
    const params = {
      protocolVersion: VERSION,
      capabilities: CAPABILITIES,
      clientInfo: { name: "t", version: "0" },
    };
    const begun = await this.#postWith({}, { id: 0, method: "initialize", params });
    const session = String(begun.headers["mcp-session-id"]);
    const { text, message } = await first(begun);
    if (message?.result === undefined) throw new Error(`initialize gave no result: ${text}`);
    const headers = { "mcp-protocol-version": VERSION, "mcp-session-id": session };
    await first(await this.#postWith(headers, { method: "notifications/initialized" }));
    return headers;
  }

  async #ask(method: string, params: JsonObject, signal: AbortSignal | undefined): Promise<TaskAnswer> {
    this.#lastId += 1;
    return first(await this.#post({ id: this.#lastId, method, params }, signal));
  }

  async #post(message: JsonObject, signal: AbortSignal | undefined): Promise<Dispatcher.ResponseData> {
    return this.#postWith(await this.#session, message, signal);
  }

  #postWith(headers: Headers, message: JsonObject, signal?: AbortSignal): Promise<Dispatcher.ResponseData> {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    return request(this.#url, {
      method: "POST",
      body,
      headers: { ...TYPES, ...headers },
      signal: signal ?? null,
    });
  }
}

/** The first message of an answer that wants something or is the answer, and the text so far. The rest is not waited for. */
async function first({ statusCode: status, headers, body }: Dispatcher.ResponseData): Promise<TaskAnswer> {
  if (!String(headers["content-type"]).startsWith("text/event-stream")) {
    const text = await body.text();
    return { status, text, message: text === "" ? undefined : JSON.parse(text) };
  }
  let text = "";
  const heard: Json[] = [];
  // A stream may begin with an event that has an id and no data.
  const parser = createParser({ onEvent: ({ data }) => data !== "" && heard.push(JSON.parse(data)) });
  const decoder = new TextDecoder();
  for await (const chunk of body) {
    const more = decoder.decode(chunk as Buffer, { stream: true });
    text += more;
    parser.feed(more);
    const message = heard.find(({ id }) => id !== undefined);
    if (message !== undefined) return { status, text, message };
  }
  return { status, text, message: undefined };
}

function withResult(answer: TaskAnswer, result: Json): TaskAnswer {
  return result === undefined ? answer : { ...answer, message: { result } };
}
