import type { CallEnd } from "../calls/call-end.ts";
import { type RpcError, rpc } from "../protocol/errors.ts";
import { isObject, type JsonObject, type JsonText, toJson, withFirstMembers } from "../protocol/jsonrpc.ts";
import { META } from "../protocol/modern.ts";
import type { Outcome } from "../store/task-store.ts";

/** The outcome that the store keeps for an end: exactly what the server said. */
export function toOutcome(
  end: Exclude<CallEnd, { readonly kind: "handedOff" }>,
  maxResultBytes: number,
  endedAt: number,
): Outcome {
  switch (end.kind) {
    case "result": {
      const result = resultText(end.result);
      const bytes = Buffer.byteLength(result);
      const failure = toolFailure(end.result);
      if (bytes <= maxResultBytes)
        return { kind: "completed", endedAt, result, ...(failure === undefined ? {} : { failure }) };
      return failed(rpc.resultTooLarge(bytes, maxResultBytes), endedAt);
    }
    case "error": {
      const bytes = Buffer.byteLength(toJson(end.error));
      if (bytes > maxResultBytes) return failed(rpc.resultTooLarge(bytes, maxResultBytes), endedAt);
      return {
        kind: "failed",
        endedAt,
        error: end.error,
        ...(end.isModern === undefined ? {} : { isModern: end.isModern }),
      };
    }
    case "ours":
      return failed(end.error, endedAt);
    case "cancelled":
      return { kind: "cancelled", endedAt, reason: end.reason };
  }
}

/** An outcome that the gateway itself made. */
function failed(error: RpcError, endedAt: number): Outcome {
  return { kind: "failed", endedAt, error: error.toJSON(), isOurs: true };
}

/** Whether the stored outcome is the one that the caller wrote, as far as kind and time can tell. */
export function isSame(standing: Outcome, written: Outcome): boolean {
  return standing.kind === written.kind && standing.endedAt === written.endedAt;
}

/**
 * The server's result as text. `resultType` and `_meta`, if any, come first and in this order, where the views look for them; a
 * task to which the server relates the result is none of ours, so it is left out.
 */
function resultText({ resultType, _meta, ...rest }: JsonObject): JsonText {
  return withFirstMembers(toJson(rest), [
    ...(resultType === undefined ? [] : [`"resultType":${toJson(resultType)}`]),
    ...(_meta === undefined ? [] : [`"_meta":${toJson(withoutRelatedTask(_meta))}`]),
  ]);
}

function withoutRelatedTask(meta: unknown): unknown {
  if (!isObject(meta)) return meta;
  const { [META.relatedTask]: _, ...rest } = meta;
  return rest;
}

/** How much of a tool's error text goes into a status message. */
const MAX_FAILURE_LENGTH = 1_000;

function toolFailure({ isError, content }: JsonObject): string | undefined {
  if (isError !== true) return undefined;
  const texts = (Array.isArray(content) ? content : []).map((block) =>
    isObject(block) ? block.text : undefined,
  );
  const said = texts.find((text) => typeof text === "string" && text !== "");
  return typeof said === "string" ? said.slice(0, MAX_FAILURE_LENGTH) : "The tool reported an error";
}

/** How many bytes the store needs for the outcome, apart from what every outcome needs. */
export function sizeOf(outcome: Outcome): number {
  return outcome.kind === "completed"
    ? Buffer.byteLength(outcome.result)
    : Buffer.byteLength(toJson(outcome));
}

export function noRoom(endedAt: number): Outcome {
  const reason =
    "The server has answered, but the task store was away, and the gateway had no more room to keep the answer (maxUnwritten)";
  return { kind: "lost", endedAt, reason };
}

/** V8 limits the length of a text, whatever the store would accept; and a store's memory is limited. */
export function isTooLong(error: unknown): boolean {
  return error instanceof Error && (error instanceof RangeError || isTooLong(error.cause));
}

export function tooLong(endedAt: number): Outcome {
  return failed(
    rpc.internal("The server's answer is too long to be kept, or for the memory that is left"),
    endedAt,
  );
}
