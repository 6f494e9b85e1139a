import type { CountedCall } from "../observers/calls/call-counts.ts";
import type { RequestId } from "../protocol/jsonrpc.ts";
import type { SessionKey } from "./client-streams.ts";

/**
 * The calls that are counted and that a server answers itself. A client of an older revision gives up by a message of its own: the
 * connection of the call often stays (2025-11-25, Transports §Sending Messages; Cancellation).
 */
export class ForwardedCalls {
  readonly #calls = new Map<string, CountedCall>();

  /** Returns the function to call when the call is over. */
  add(session: SessionKey, id: RequestId, call: CountedCall): () => void {
    const key = keyOf(session, id);
    this.#calls.set(key, call);
    return () => {
      if (this.#calls.get(key) === call) this.#calls.delete(key);
    };
  }

  /** The client has taken the request back, if it is one of these. */
  abandoned(session: SessionKey, id: unknown): void {
    this.#calls.get(keyOf(session, id))?.end("abandoned");
  }
}

/** The id `1` is not `"1"`. */
function keyOf(session: SessionKey, id: unknown): string {
  return `${session}\n${typeof id}\n${String(id)}`;
}
