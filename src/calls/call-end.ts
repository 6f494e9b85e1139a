import type { RpcError } from "../protocol/errors.ts";
import type { JsonObject, JsonRpcError, JsonRpcNotification } from "../protocol/jsonrpc.ts";
import type { UpstreamFailure } from "../upstream/failure.ts";
import type { Progress } from "../upstream/sessions/session.ts";

/**
 * How a call ended: a closed list. `ours`: the gateway made the error, not the server. `isModern`: the error of a server that
 * speaks 2026-07-28 itself; its code needs no translation. `handedOff`: the call ended in this process only; another replica may
 * continue it and will know how it ends.
 */
export type CallEnd =
  | { readonly kind: "result"; readonly result: JsonObject }
  | { readonly kind: "error"; readonly error: JsonRpcError; readonly isModern?: true }
  | { readonly kind: "ours"; readonly error: RpcError; readonly failure?: UpstreamFailure }
  | { readonly kind: "cancelled"; readonly reason: string }
  | { readonly kind: "handedOff" };

/** What a listener hears of a call. All optional; none may throw. */
export interface CallListener {
  onSent?(): void;
  /** The server has not refused the request. */
  onAccepted?(): void;
  onProgress?(progress: Progress): void;
  /** The server sent a notification during the call that is neither progress nor a withdrawal. */
  onNotification?(notification: JsonRpcNotification): void;
  /** The server has asked a question, or an open question has been answered or withdrawn. */
  onQuestions?(): void;
  /** Another replica could resume the call from a later place than before: see `Call.checkpoint`. */
  onCheckpoint?(): void;
  onEnd?(end: CallEnd): void;
}
