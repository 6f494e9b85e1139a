import type { RpcError } from "../protocol/errors.ts";
import type { JsonText, RequestId } from "../protocol/jsonrpc.ts";

/** Where the client of a pair is told something. */
export interface ClientEnd {
  /**
   * Sends what is no answer. Says whether it was sent, or will be.
   * @param about the client's request in the course of which it is said: then it belongs on that request's stream, if it has one
   */
  send(message: JsonText, about?: RequestId): boolean;
  /**
   * Answers a request of the client's: nothing more is said about it.
   * @param message `undefined` when the client has taken the request back
   * @param refusal the error that the message is, where it is the gateway's own and may have an HTTP status
   */
  answer(id: RequestId, message: JsonText | undefined, refusal?: RpcError): void;
  /** Whether the client is reached in the course of a request at the moment; what is said about it otherwise has to wait. */
  isReached(about: RequestId): boolean;
  /** The session is over: ends what the client has open. Called once. */
  close(): void;
}
