import type { JsonObject, JsonRpcResponse } from "../protocol/jsonrpc.ts";
import { envelopeOf } from "../protocol/modern.ts";
import { late } from "../upstreams/failure.ts";
import type { UpstreamFetch } from "../upstreams/fetch.ts";
import { askModern, type ModernRequestOptions } from "../upstreams/modern-request.ts";
import type { Description } from "./facts.ts";
import { CLIENT_INFO } from "./sessions.ts";
import type { Caller } from "./speaker.ts";
import type { Trial } from "./trial.ts";

export interface ModernSpeakerOptions {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: UpstreamFetch;
  readonly description: Description;
  /** Declared with every request. */
  readonly capabilities: JsonObject;
  readonly timeoutMs: number;
  /** Ends everything that is open. */
  readonly signal: AbortSignal;
}

type More = Partial<Pick<ModernRequestOptions, "onAccepted" | "onNotification">> & {
  readonly headers?: Readonly<Record<string, string>>;
};

/** A server of 2026-07-28: every request stands for itself, so that there is nothing to open and nothing to end. */
export class ModernSpeaker implements Caller {
  readonly description: Description;
  readonly #options: ModernSpeakerOptions;
  #lastId = 0;

  constructor(options: ModernSpeakerOptions) {
    this.description = options.description;
    this.#options = options;
  }

  ask(method: string, params?: JsonObject, timeoutMs = this.#options.timeoutMs): Promise<JsonRpcResponse> {
    return this.#send(method, params, timeoutMs);
  }

  /** A question ends the call (2026-07-28, Multi Round-Trip Requests): whether it goes on is the client's affair. */
  async call(trial: Trial): Promise<void> {
    const { headers } = trial;
    const listener: More = {
      headers,
      onAccepted: () => trial.accepted(),
      onNotification: ({ method, params = {} }) =>
        method === "notifications/progress" ? trial.progressed(params) : trial.heard(),
    };
    trial.sent();
    await this.#send("tools/call", trial.params, trial.timeoutMs, listener).then(
      (response) => trial.answered(response),
      (error: unknown) => trial.failed(error),
    );
  }

  async close(): Promise<void> {}

  async #send(
    method: string,
    params: JsonObject | undefined,
    timeoutMs: number,
    more: More = {},
  ): Promise<JsonRpcResponse> {
    const { url, headers, fetch, capabilities, signal } = this.#options;
    this.#lastId += 1;
    const id = this.#lastId;
    const _meta = { ...envelopeOf(CLIENT_INFO, capabilities), progressToken: id };
    const timeout = AbortSignal.timeout(timeoutMs);
    const request = { jsonrpc: "2.0", id, method, params: { ...params, _meta } } as const;
    const options = { url, fetch, ...more, headers: { ...headers, ...more.headers } };
    return askModern(request, { ...options, signal: AbortSignal.any([timeout, signal]) }).catch(
      (error: unknown) => {
        throw timeout.aborted ? late(method, timeoutMs) : error;
      },
    );
  }
}
