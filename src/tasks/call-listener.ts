import type { JsonRpcNotification } from "../protocol/jsonrpc.ts";
import type { Progress } from "../upstreams/session.ts";
import type { CallEnd } from "./call-end.ts";

/** What can be heard of a call. All optional; none may throw. */
export interface CallListener {
  onSent?(): void;
  /** The server has not refused the request. */
  onAccepted?(): void;
  onProgress?(progress: Progress): void;
  /** A notification that the server sent in the course of the call, and that is neither progress nor a withdrawal. */
  onNotification?(notification: JsonRpcNotification): void;
  /** There is a question more, or one less. */
  onQuestions?(): void;
  /** Somebody else could go on with the call, from another place than before: see `Call.checkpoint`. */
  onCheckpoint?(): void;
  onEnd?(end: CallEnd): void;
}
