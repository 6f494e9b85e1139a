import type { SharedBytes } from "../../limits/bytes.ts";
import type { JsonRpcMessage } from "../../protocol/jsonrpc.ts";
import type { Said } from "./undelivered.ts";

/** Of messages that may outlive the request that brought them. */
const counted = new WeakMap<JsonRpcMessage, SharedBytes>();
const nothing = () => {};

/** Notes where the memory of a message is counted. */
export function countMessage(message: JsonRpcMessage, held: SharedBytes | undefined): void {
  if (held !== undefined) counted.set(message, held);
}

/** Where the memory of a message is counted. */
export function bytesOf(message: JsonRpcMessage): SharedBytes | undefined {
  return counted.get(message);
}

/** Keeps a message, and its memory counted. Returns the function that releases it. */
export function keep(message: JsonRpcMessage): () => void {
  return counted.get(message)?.share() ?? nothing;
}

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
