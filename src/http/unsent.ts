import type { ServerResponse } from "node:http";
import { once } from "../lib/once.ts";
import type { Bytes } from "../limits/bytes.ts";
import type { QuotaKey } from "../limits/counter.ts";

/**
 * Room for messages to clients that their connections have not taken yet. A result may be large, every poll gets one, and a client that
 * polls on many connections and reads none would have the gateway hold them all.
 */
export class Unsent {
  readonly #maxChars: number;
  readonly #bytes: Pick<Bytes, "add"> | undefined;
  #chars = 0;

  /** @param bytes counts them with all other memory: answers go out before the gateway takes in more */
  constructor(maxChars: number, bytes?: Pick<Bytes, "add">) {
    this.#maxChars = maxChars;
    this.#bytes = bytes;
  }

  /**
   * Takes room until the response is over, or the returned function is called. `undefined`: there is none. A single message always has
   * room. The response must not be over.
   */
  take(response: ServerResponse, chars: number, quotaKey: QuotaKey = NOBODY): (() => void) | undefined {
    if (this.#chars > 0 && this.#chars + chars > this.#maxChars) return undefined;
    this.#chars += chars;
    const forget = this.#bytes?.add(quotaKey, chars);
    const give = once(() => {
      this.#chars -= chars;
      forget?.();
      response.off("close", give);
    });
    response.once("close", give);
    return give;
  }
}

const NOBODY: QuotaKey = { caller: "", isIdentified: false };
