import type { JsonRpcNotification, JsonRpcRequest } from "../protocol/jsonrpc.ts";
import { toJson } from "../protocol/jsonrpc.ts";

/** What needs no request to be said. */
export type Said = JsonRpcRequest | JsonRpcNotification;

const MAX_MESSAGES = 100;
const MAX_CHARS = 1_048_576;

/** What a server has said to a client that cannot be told at the moment. */
export class Unheard {
  #messages: Said[] = [];
  #chars = 0;

  /** Keeps a message. Says whether there was room for it. */
  add(message: Said): boolean {
    const { length } = toJson(message);
    if (this.#messages.length >= MAX_MESSAGES || this.#chars + length > MAX_CHARS) return false;
    this.#messages.push(message);
    this.#chars += length;
    return true;
  }

  /** Everything that was kept, in its order; nothing is kept any more. */
  take(): readonly Said[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#chars = 0;
    return messages;
  }
}
