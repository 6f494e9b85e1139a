import type { JsonText } from "../protocol/jsonrpc.ts";

/** A stream on which a client can get messages that it did not ask for. */
export interface ClientStream {
  readonly isOpen: boolean;
  /** Returns whether the message was sent. */
  send(message: JsonText): boolean;
}
