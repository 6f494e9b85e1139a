import { type RpcError, rpc, toRpcError } from "../protocol/errors.ts";
import type { JsonObject, JsonRpcError, JsonRpcNotification, JsonRpcResponse } from "../protocol/jsonrpc.ts";
import { ofNoType } from "../protocol/legacy.ts";
import { UpstreamFailure } from "../upstream/failure.ts";
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

/** The call's end from the server's answer. `isBridged`: the client speaks 2026-07-28 and the server does not. */
export function toEnd(response: JsonRpcResponse, isModern: boolean, isBridged = false): CallEnd {
  if (!("error" in response))
    return { kind: "result", result: isBridged ? ofNoType(response.result) : response.result };
  return { kind: "error", error: response.error, ...(isModern ? { isModern } : {}) };
}

/** The call's end from a caught error; the client gets a server's refusal in the server's words. */
export function toErrorEnd(caught: unknown): CallEnd {
  if (!(caught instanceof UpstreamFailure)) return { kind: "ours", error: toRpcError(caught) };
  return { kind: "ours", error: rpc.upstreamFailed(caught.message, caught.facts), failure: caught };
}

/** The end of a call that took longer than allowed. @param maxRuntimeMs absent for a resumed call, which has only the rest of it */
export function overdue(isSent: boolean, maxRuntimeMs: number | undefined): CallEnd {
  const [what, ending] = isSent ? ["ran", "was cancelled"] : ["waited", "was never sent"];
  const limit = maxRuntimeMs === undefined ? "maxRuntime" : `maxRuntime (${maxRuntimeMs} ms)`;
  return { kind: "ours", error: rpc.internal(`The call ${what} longer than ${limit} and ${ending}`) };
}

/** The reason that the server gets when it did not end the call itself. */
export function reasonOf(end: CallEnd): string {
  if (end.kind === "ours") return end.error.message;
  return end.kind === "cancelled" ? end.reason : "";
}

/** Nobody is told. Made once: an error with its stack costs as much as a poll. */
export const GIVEN_UP: CallEnd = { kind: "ours", error: rpc.internal("The result was given up") };

/** The request of another process cannot be resumed here either: its answer is lost. */
export class NotPickedUp extends UpstreamFailure {
  constructor({ message, facts }: UpstreamFailure) {
    const { status, wwwAuthenticate, cause } = facts;
    super(
      `The gateway that ran the call stopped, and the server's answer could not be picked up: ${message}. Whether the work was done is not known`,
      {
        mayHaveRun: true,
        ...(status === undefined ? {} : { status }),
        ...(wwwAuthenticate === undefined ? {} : { wwwAuthenticate }),
        cause,
      },
    );
  }
}

/** Takes the place of joining a session again where that cannot be. */
export async function cannotRejoin(): Promise<never> {
  throw new UpstreamFailure("Its session with the server cannot be joined again", { mayHaveRun: true });
}

/** For whoever waits for a session on behalf of a call that is over. */
export function neverSent(): UpstreamFailure {
  return new UpstreamFailure("The call was cancelled before it was sent", { mayHaveRun: false });
}
