import type { ServerResponse } from "node:http";

/**
 * Room for what has been said to clients and is not in their connections yet. A result may be large, every poll gets one of its own, and
 * who asks for it on many connections and reads none of them would have the gateway hold them all.
 */
export class Unsent {
  readonly #maxChars: number;
  #chars = 0;

  constructor(maxChars: number) {
    this.#maxChars = maxChars;
  }

  /**
   * Makes room until the response is over, or until what is returned is called. `undefined`: there is none. For one there always is.
   * The response must not be over.
   */
  take(response: ServerResponse, chars: number): (() => void) | undefined {
    if (this.#chars > 0 && this.#chars + chars > this.#maxChars) return undefined;
    this.#chars += chars;
    let isTaken = true;
    const give = (): void => {
      if (!isTaken) return;
      isTaken = false;
      this.#chars -= chars;
      response.off("close", give);
    };
    response.once("close", give);
    return give;
  }
}
