import { type JsonRpcNotification, type JsonRpcRequest, toJson } from "../../protocol/jsonrpc.ts";

/** A message that answers no request. */
export type Said = JsonRpcRequest | JsonRpcNotification;

const MAX_MESSAGES = 100;
const MAX_CHARS = 1_048_576;

/** Messages that a server sent while its client cannot be reached. */
export class Undelivered {
  #messages: Said[] = [];
  #chars = 0;

  /** Keeps a message. Returns whether there was room for it. */
  add(message: Said): boolean {
    const { length } = toJson(message);
    if (this.#messages.length >= MAX_MESSAGES || this.#chars + length > MAX_CHARS) return false;
    this.#messages.push(message);
    this.#chars += length;
    return true;
  }

  /** Gives all kept messages, in order, and keeps none. */
  take(): readonly Said[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#chars = 0;
    return messages;
  }
}
