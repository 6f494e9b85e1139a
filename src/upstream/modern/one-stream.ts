import { onAbort } from "../../lib/signal.ts";
import {
  isObject,
  isSameId,
  type JsonRpcMessage,
  type JsonRpcNotification,
  type JsonRpcResponse,
  progressTokenIn,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { META } from "../../protocol/modern.ts";
import { toFailure, type UpstreamFailure, unanswered } from "../failure.ts";
import type { Transport } from "../transports/transport.ts";
import type { ModernAsking } from "./request.ts";

interface Asked {
  readonly asking: ModernAsking;
  onAnswer(answer: JsonRpcResponse): void;
}

/** Requests of 2026-07-28 over a transport that has one stream for all of them (2026-07-28, stdio). */
export class OneStream {
  readonly #transport: Transport;
  /** The last one last. */
  readonly #asked = new Map<RequestId, Asked>();

  /** @param transport whose messages nobody else wants any more */
  constructor(transport: Transport) {
    this.#transport = transport;
    transport.onMessage = (message) => this.#hear(message);
  }

  /** Sends a request and waits for its answer until the signal is aborted. @throws UpstreamFailure when there is no answer */
  async ask(asking: ModernAsking): Promise<JsonRpcResponse> {
    const { id, method, params, signal, onAccepted = () => {} } = asking;
    if (signal.aborted) throw toFailure(signal.reason);
    let stopListening = () => {};
    const answer = new Promise<JsonRpcResponse>((resolve, reject) => {
      this.#asked.set(id, { asking, onAnswer: resolve });
      const { ended, stop } = this.#transport.ask({ jsonrpc: "2.0", id, method, params }, { onAccepted });
      ended.then(() => reject(unanswered()), reject);
      stopListening = onAbort(signal, () => {
        stop();
        this.#cancel(id, toFailure(signal.reason));
        reject(toFailure(signal.reason));
      });
    });
    try {
      return await answer;
    } finally {
      stopListening();
      this.#asked.delete(id);
    }
  }

  /** (2026-07-28, Cancellation §stdio.) */
  #cancel(requestId: RequestId, { message }: UpstreamFailure): void {
    const params = { requestId, reason: message };
    this.#transport
      .tell({ jsonrpc: "2.0", method: "notifications/cancelled", params })
      .catch((error: unknown) => this.#transport.onGarbage(toFailure(error)));
  }

  #hear(message: JsonRpcMessage): void {
    if (!("method" in message)) {
      if (message.id !== undefined) this.#asked.get(message.id)?.onAnswer(message);
    } else if ("id" in message) {
      // The revision has no requests of servers.
      const error = { code: -32601, message: `Method not found: ${message.method}` };
      void this.#transport.tell({ jsonrpc: "2.0", id: message.id, error }).catch(() => {});
    } else this.#meant(message)?.asking.onNotification(message);
  }

  /** The request that a notification belongs to: progress and changes say so; of others, which do not, the last one but subscriptions. */
  #meant({ method, params = {} }: JsonRpcNotification): Asked | undefined {
    const { _meta, progressToken } = params;
    const subscription = isObject(_meta) ? _meta[META.subscriptionId] : undefined;
    const asked = [...this.#asked.entries()];
    const found =
      subscription !== undefined
        ? asked.find(([id]) => isSameId(subscription, id))
        : method === "notifications/progress"
          ? asked.find(([, { asking }]) => isSameId(progressToken, progressTokenIn(asking.params)))
          : asked.findLast(([, { asking }]) => asking.method !== "subscriptions/listen");
    return found?.[1];
  }
}
