import { type RpcError, rpc } from "../protocol/errors.ts";
import { isObject, type JsonObject, type JsonText, toJson, withFirstMembers } from "../protocol/jsonrpc.ts";
import { META } from "../protocol/modern.ts";
import type { Outcome } from "../stores/task-store.ts";
import type { CallEnd } from "./call.ts";

/** The outcome as it is kept: what the server said, to the letter. */
export function toOutcome(
  end: Exclude<CallEnd, { readonly kind: "left" }>,
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

/** An ending that is the gateway's own. */
function failed(error: RpcError, endedAt: number): Outcome {
  return { kind: "failed", endedAt, error: error.toJSON(), isOurs: true };
}

/** Whether the outcome that stands is the one that was to be written, as far as that can be told. */
export function isSame(standing: Outcome, written: Outcome): boolean {
  return standing.kind === written.kind && standing.endedAt === written.endedAt;
}

/**
 * What the server said, as text. Should it say `resultType` or `_meta`, they stand first and in this order, where the views
 * look for them; should it relate the result to a task, that is none of ours.
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

/** As much of what a tool said of its failure as is fit for a status message. */
const MAX_FAILURE_LENGTH = 1_000;

function toolFailure({ isError, content }: JsonObject): string | undefined {
  if (isError !== true) return undefined;
  const texts = (Array.isArray(content) ? content : []).map((block) =>
    isObject(block) ? block.text : undefined,
  );
  const said = texts.find((text) => typeof text === "string" && text !== "");
  return typeof said === "string" ? said.slice(0, MAX_FAILURE_LENGTH) : "The tool reported an error";
}

/** How many bytes it takes to keep it, but for what every outcome has. */
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

/** No text can be longer than what V8 allows for one, whatever the store would take, nor larger than the memory that a store has. */
export function isTooLong(error: unknown): boolean {
  return error instanceof Error && (error instanceof RangeError || isTooLong(error.cause));
}

export function tooLong(endedAt: number): Outcome {
  return failed(
    rpc.internal("The server's answer is too long to be kept, or for the memory that is left"),
    endedAt,
  );
}
