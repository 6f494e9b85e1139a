import type { ServerResponse } from "node:http";
import { once } from "../lib/once.ts";
import type { Signal } from "../lib/signal.ts";
import type { Bytes } from "../limits/bytes.ts";
import type { QuotaKey } from "../limits/counter.ts";

/**
 * Room for messages to clients that their connections have not taken yet. A result may be large, every poll gets one, and a client that
 * polls on many connections and reads none would have the gateway hold them all.
 */
export class Unsent {
  readonly #maxChars: () => number;
  readonly #maxWaitMs: number;
  /** Answers that wait for room, in their order. */
  readonly #waiting = new Set<() => boolean>();
  readonly #bytes: Pick<Bytes, "add"> | undefined;
  #chars = 0;

  /**
   * @param bytes counts them with all other memory: answers go out before the gateway takes in more
   * @param maxWaitMs how long an answer may wait for room
   */
  constructor(maxChars: () => number, bytes?: Pick<Bytes, "add">, maxWaitMs = 0) {
    this.#maxChars = maxChars;
    this.#bytes = bytes;
    this.#maxWaitMs = maxWaitMs;
  }

  /**
   * Takes room until the response is over, or the returned function is called. `undefined`: there is none. A single message always has
   * room. The response must not be over.
   */
  take(response: ServerResponse, chars: number, quotaKey: QuotaKey = NOBODY): (() => void) | undefined {
    if (this.#chars > 0 && this.#chars + chars > this.#maxChars()) return undefined;
    this.#chars += chars;
    const forget = this.#bytes?.add(quotaKey, chars);
    const give = once(() => {
      this.#chars -= chars;
      forget?.();
      response.off("close", give);
      for (const goOn of this.#waiting) if (!goOn()) break;
    });
    response.once("close", give);
    return give;
  }

  /** As `take`, but waits for room behind those that wait already. `undefined`: there was none in time, or the client has gone. */
  async wait(
    response: ServerResponse,
    chars: number,
    { quotaKey, gone }: { readonly quotaKey?: QuotaKey | undefined; readonly gone: Signal },
  ): Promise<(() => void) | undefined> {
    const given = this.#waiting.size === 0 ? this.take(response, chars, quotaKey) : undefined;
    if (given !== undefined || gone.aborted) return given;
    return new Promise((resolve) => {
      const end = (give?: () => void) => {
        clearTimeout(timer);
        gone.removeEventListener("abort", leave);
        this.#waiting.delete(goOn);
        resolve(give);
      };
      const leave = () => end();
      const goOn = () => {
        const give = this.take(response, chars, quotaKey);
        if (give !== undefined) end(give);
        return give !== undefined;
      };
      const timer = setTimeout(leave, this.#maxWaitMs);
      gone.addEventListener("abort", leave, { once: true });
      this.#waiting.add(goOn);
    });
  }
}

const NOBODY: QuotaKey = { caller: "", isIdentified: false };
