import type { JsonRpcMessage } from "../protocol/jsonrpc.ts";
import type { SharedBytes } from "../quotas/bytes.ts";
import type { Said } from "./unheard.ts";

/** Of messages that may be kept when the request that brought them has been answered. */
const counted = new WeakMap<JsonRpcMessage, SharedBytes>();
const nothing = () => {};

/** Notes where the memory is counted that a message takes. */
export function countMessage(message: JsonRpcMessage, held: SharedBytes | undefined): void {
  if (held !== undefined) counted.set(message, held);
}

/** Where the memory of a message is counted. */
export function bytesOf(message: JsonRpcMessage): SharedBytes | undefined {
  return counted.get(message);
}

/** Keeps a message. Returns how to let go of it. */
export function keep(message: JsonRpcMessage): () => void {
  return counted.get(message)?.share() ?? nothing;
}

/** How many messages of a client may wait for its session to open. */
export const MAX_EARLY = 100;

/** What a client said too early, in its order. */
export class EarlyMessages {
  readonly #messages: { readonly message: Said; readonly letGo: () => void }[] = [];

  /** Says whether there was room for it. */
  add(message: Said): boolean {
    if (this.#messages.length >= MAX_EARLY) return false;
    this.#messages.push({ message, letGo: keep(message) });
    return true;
  }

  has(id: unknown): boolean {
    return this.#messages.some(({ message }) => "id" in message && message.id === id);
  }

  /** Gives each to whoever takes it now. */
  passOn(take: (message: Said) => void): void {
    for (const { message, letGo } of this.#messages.splice(0)) {
      take(message);
      letGo();
    }
  }
}
