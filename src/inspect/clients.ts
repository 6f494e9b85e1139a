import type { Logger } from "pino";
import type { HttpUpstreamConfig, UpstreamConfig } from "../config/config.ts";
import {
  isObject,
  type JsonObject,
  type JsonRpcNotification,
  type JsonRpcRequest,
  type JsonRpcResponse,
} from "../protocol/jsonrpc.ts";
import { envelopeOf } from "../protocol/modern.ts";
import { late, unanswered } from "../upstream/failure.ts";
import { inTime } from "../upstream/in-time.ts";
import type { ModernDescription } from "../upstream/modern/probe.ts";
import { ModernServer } from "../upstream/modern/server.ts";
import { nextRequestId } from "../upstream/request-ids.ts";
import type { ServerDescription } from "../upstream/sessions/description.ts";
import { type RequestAnswer, Session } from "../upstream/sessions/session.ts";
import type { UpstreamAgents } from "../upstream/transports/agents.ts";
import { Transports } from "../upstream/transports/open.ts";
import type { Transport } from "../upstream/transports/transport.ts";
import { VERSION } from "../version.ts";
import type { Description } from "./facts.ts";

export const CLIENT_INFO = { name: "mcp-taskgate", version: VERSION } as const;
/** Everything for which a server may ask a client. */
export const EVERYTHING: JsonObject = { elicitation: { form: {}, url: {} }, roots: {}, sampling: {} };

export interface ClientOptions {
  readonly agents: UpstreamAgents;
  readonly log: Logger;
  /** How long one answer may take. */
  readonly timeoutMs: number;
  /** Ends everything that is open. */
  readonly signal: AbortSignal;
  /** Called with the method of each request when it is sent. */
  readonly onAsk: (method: string) => void;
}

/** What happens to a request before its answer arrives. */
export interface Listener {
  onSent(): void;
  onAccepted(): void;
  onProgress(params: JsonObject): void;
  /** Called with any other notification. */
  onNotification(): void;
  /** Answers a request of the server's. */
  onRequest(request: JsonRpcRequest): RequestAnswer;
}

/** A client of the inspected server, in either era. */
export interface Client {
  readonly description: Description;
  /** @throws UpstreamFailure when no answer comes within `timeoutMs` */
  ask(method: string, params?: JsonObject, timeoutMs?: number, listener?: Listener): Promise<JsonRpcResponse>;
  /** Never rejects. */
  close(): Promise<void>;
}

export interface LegacyClient extends Client {
  readonly protocolVersion: string;
  /** Opens the stream for a server's own messages, also at a server without sessions. */
  hearChanges(): void;
}

const MAX_MESSAGE_BYTES = 67_108_864;

/** Sessions with one legacy server; `close` and the signal end all of them. */
export class Sessions {
  readonly #options: ClientOptions;
  readonly #transports: Transports;
  readonly #open = new Set<Transport>();
  /** The first line on stdout that was no message. */
  garbage: string | undefined;

  constructor(config: UpstreamConfig, options: ClientOptions) {
    this.#options = options;
    this.#transports = new Transports({
      ...options,
      config,
      clientInfo: CLIENT_INFO,
      maxMessageBytes: MAX_MESSAGE_BYTES,
    });
    options.signal.addEventListener("abort", () => void this.close(), { once: true });
  }

  /** Whether a server over stdio has turned out to speak only 2026-07-28: its sessions are the gateway's translation then. */
  get isOnlyModern(): boolean {
    return this.#transports.isModern;
  }

  /** Opens a session that declares `capabilities`. @throws UpstreamFailure */
  open(capabilities: JsonObject): Promise<LegacyClient> {
    const { onAsk, timeoutMs } = this.#options;
    return this.#use(async (transport) => {
      let heard: Listener | undefined;
      onAsk("initialize");
      const session = await Session.open({
        transport,
        clientInfo: CLIENT_INFO,
        capabilities,
        holder: {
          onRequest: (request, asked) =>
            void asked.respond(request.id, heard?.onRequest(request) ?? refusalOf(request.method).answer),
          onNotification: () => heard?.onNotification(),
        },
        onGarbage: this.#onGarbage,
        share: (description) => description,
        startTimeoutMs: timeoutMs,
      });
      return {
        protocolVersion: session.server.protocolVersion,
        description: descriptionOf(session.server),
        hearChanges: () => void session.hearChanges(),
        ask: (method, params, ms = timeoutMs, listener) => {
          heard = listener;
          onAsk(method);
          listener?.onSent();
          const request = session.request(method, params, listener);
          return inTime(ms, request.response, () => {
            request.cancel("it took too long");
            return late(method, ms);
          });
        },
        close: async () => {
          await session.close();
          this.#open.delete(transport);
        },
      };
    });
  }

  /** Sends one request outside any session. @throws UpstreamFailure */
  once(method: string, params: JsonObject, timeoutMs = this.#options.timeoutMs): Promise<JsonRpcResponse> {
    this.#options.onAsk(method);
    return this.#use(async (transport) => {
      const answer = new Promise<JsonRpcResponse>((resolve, reject) => {
        transport.onGarbage = this.#onGarbage;
        transport.onMessage = (message) => !("method" in message) && resolve(message);
        transport
          .ask({ jsonrpc: "2.0", id: 1, method, params })
          .ended.then(() => reject(unanswered()), reject);
      });
      const response = await inTime(timeoutMs, answer, () => late(method, timeoutMs));
      await transport.close();
      this.#open.delete(transport);
      return response;
    });
  }

  /** Sends `ping` in a session that does not exist. @throws UpstreamFailure with the server's refusal */
  async pingIn(id: string, protocolVersion: string): Promise<void> {
    const transport = this.#transports.join({}, { id, protocolVersion });
    const session = Session.join({ transport, holder: undefined, onGarbage: this.#onGarbage });
    const { timeoutMs } = this.#options;
    const { response } = session.request("ping", {});
    await inTime(timeoutMs, response, () => late("ping", timeoutMs)).finally(() => session.close());
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map((transport) => transport.close()));
  }

  async #use<T>(use: (transport: Transport) => Promise<T>): Promise<T> {
    this.#options.signal.throwIfAborted();
    return this.#transports.open({}, async (transport) => {
      this.#open.add(transport);
      try {
        return await use(transport);
      } catch (error) {
        await transport.close();
        this.#open.delete(transport);
        throw error;
      }
    });
  }

  readonly #onGarbage = (error: Error): void => {
    this.garbage ??= error.message;
  };
}

/** A client of a server of 2026-07-28 that declares `capabilities` with each request. */
export function modernClient(
  { url, headers }: HttpUpstreamConfig,
  said: ModernDescription,
  capabilities: JsonObject,
  { agents, log, timeoutMs, signal, onAsk }: ClientOptions,
): Client {
  const server = new ModernServer({
    url,
    headers,
    agents,
    clientInfo: CLIENT_INFO,
    maxMessageBytes: MAX_MESSAGE_BYTES,
    description: () => said,
    onUnexpectedEra: () => {},
    log,
  });
  const owner = { caller: "", headers: {}, capabilities };
  return {
    description: descriptionOf(said),
    ask: async (method, params, ms = timeoutMs, listener) => {
      onAsk(method);
      // Lists the tools before the clock of the call starts: the headers that mirror its arguments depend on them.
      if (method === "tools/call") await server.toolsOf(owner).headerParams(String(params?.name));
      const id = nextRequestId();
      const _meta = { ...envelopeOf(CLIENT_INFO, capabilities), progressToken: id };
      const timeout = AbortSignal.timeout(ms);
      listener?.onSent();
      const asking = {
        id,
        method,
        params: { ...params, _meta },
        signal: AbortSignal.any([timeout, signal]),
        onAccepted: () => listener?.onAccepted(),
        onNotification: ({ method, params = {} }: JsonRpcNotification) =>
          method === "notifications/progress" ? listener?.onProgress(params) : listener?.onNotification(),
      };
      return server.ask(owner, asking).catch((error: unknown) => {
        throw timeout.aborted ? late(method, ms) : error;
      });
    },
    close: async () => server.close(),
  };
}

/** Refuses a request of the server's, each kind in its own way: `inspect` has nobody to ask. `said` names the refusal for the report. */
export function refusalOf(method: string): { readonly said: string; readonly answer: RequestAnswer } {
  switch (method) {
    case "elicitation/create":
      return { said: "declined", answer: { result: { action: "decline" } } };
    case "sampling/createMessage":
      return { said: "rejected", answer: { error: { code: -1, message: "User rejected sampling request" } } };
    case "roots/list":
      return { said: "told that there are none", answer: { result: { roots: [] } } };
    default:
      return { said: "not understood", answer: { error: { code: -32601, message: "Method not found" } } };
  }
}

function descriptionOf({
  serverInfo,
  capabilities,
  instructions,
}: ModernDescription | ServerDescription): Description {
  const { name, version } = isObject(serverInfo) ? serverInfo : {};
  return { name: textIn(name), version: textIn(version), capabilities, instructions };
}

/** The value if it is a text. */
export function textIn(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
