import type { ServerResponse } from "node:http";
import { once } from "../ops/once.ts";
import type { Bytes } from "../quotas/bytes.ts";
import type { Party } from "../quotas/counter.ts";

/**
 * Room for what has been said to clients and is not in their connections yet. A result may be large, every poll gets one of its own, and
 * who asks for it on many connections and reads none of them would have the gateway hold them all.
 */
export class Unsent {
  readonly #maxChars: number;
  readonly #bytes: Pick<Bytes, "add"> | undefined;
  #chars = 0;

  /** @param bytes where it is counted with all the rest that is held: what has been answered goes out before more is taken in */
  constructor(maxChars: number, bytes?: Pick<Bytes, "add">) {
    this.#maxChars = maxChars;
    this.#bytes = bytes;
  }

  /**
   * Makes room until the response is over, or until what is returned is called. `undefined`: there is none. For one there always is.
   * The response must not be over.
   */
  take(response: ServerResponse, chars: number, party: Party = NOBODY): (() => void) | undefined {
    if (this.#chars > 0 && this.#chars + chars > this.#maxChars) return undefined;
    this.#chars += chars;
    const forget = this.#bytes?.add(party, chars);
    const give = once(() => {
      this.#chars -= chars;
      forget?.();
      response.off("close", give);
    });
    response.once("close", give);
    return give;
  }
}

const NOBODY: Party = { caller: "", isIdentified: false };
