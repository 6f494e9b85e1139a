import type { Signal } from "../lib/signal.ts";
import type { JsonText } from "../protocol/jsonrpc.ts";
import type { Reply } from "./request.ts";

/** A stream on which a client can get messages that it did not ask for. */
export interface ClientStream {
  readonly isOpen: boolean;
  /** Returns whether the message was sent. */
  send(message: JsonText): boolean;
}

/** The stream of a request until nobody waits for its answer any more, as far as its client reads it. */
export function streamOf(
  reply: Pick<Reply, "notify"> & { readonly isConnected?: boolean },
  over: Signal,
): ClientStream {
  return {
    get isOpen() {
      return !over.aborted && reply.isConnected !== false;
    },
    send: (message) => reply.notify(message),
  };
}
