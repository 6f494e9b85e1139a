/** Messages that cannot be passed on yet: a client's, until its session is open, and a server's, until its client can be reached. */

import { type JsonRpcNotification, type JsonRpcRequest, toJson } from "../../protocol/jsonrpc.ts";
import { keep } from "./message-context.ts";

/** A message that answers no request. */
export type Said = JsonRpcRequest | JsonRpcNotification;

/** How many messages a client may send before its session is open. */
export const MAX_EARLY = 100;

/** Messages that a client sent before its session was open, in order. */
export class EarlyMessages {
  readonly #messages: { readonly message: Said; readonly letGo: () => void }[] = [];

  /** Returns whether there was room for the message. */
  add(message: Said): boolean {
    if (this.#messages.length >= MAX_EARLY) return false;
    this.#messages.push({ message, letGo: keep(message) });
    return true;
  }

  has(id: unknown): boolean {
    return this.#messages.some(({ message }) => "id" in message && message.id === id);
  }

  /** Gives each message to `take`, and keeps none. */
  passOn(take: (message: Said) => void): void {
    for (const { message, letGo } of this.#messages.splice(0)) {
      take(message);
      letGo();
    }
  }
}

const MAX_UNDELIVERED = { messages: 100, chars: 1_048_576 } as const;

/** Messages that a server sent while its client cannot be reached. */
export class Undelivered {
  #messages: Said[] = [];
  #chars = 0;

  /** Keeps a message. Returns whether there was room for it. */
  add(message: Said): boolean {
    const { length } = toJson(message);
    if (this.#messages.length >= MAX_UNDELIVERED.messages || this.#chars + length > MAX_UNDELIVERED.chars)
      return false;
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
