import type { RpcError } from "../../protocol/errors.ts";
import type { JsonText, RequestId } from "../../protocol/jsonrpc.ts";

/** How a paired session reaches its client. */
export interface ClientEnd {
  /**
   * Sends a message that is no answer. Returns whether it was sent, or will be.
   * @param about the client's request that the message belongs to: it goes on that request's stream, if there is one
   */
  send(message: JsonText, about?: RequestId): boolean;
  /**
   * Answers a client's request. No message about the request follows.
   * @param message `undefined` when the client has cancelled the request
   * @param refusal the error in `message`, if it is the gateway's own and may have an HTTP status
   */
  answer(id: RequestId, message: JsonText | undefined, refusal?: RpcError): void;
  /** Whether messages about this request reach the client at the moment; if not, they have to wait. */
  isReached(about: RequestId): boolean;
  /** Ends everything that the client has open, because the session is over. Called once. */
  close(): void;
}
