import type { ToolPolicy } from "../config/config.ts";
import { fromModernServer, fromServer, RpcError, rpc } from "../protocol/errors.ts";
import { type JsonObject, toJson } from "../protocol/jsonrpc.ts";
import { modernResult } from "../protocol/modern.ts";
import type { InputRequest, Outcome, TaskRecord } from "../stores/task-store.ts";
import type { CallEnd } from "../tasks/call-end.ts";
import { modernInputRequests } from "../tasks/input.ts";
import { modernTask } from "../tasks/view.ts";
import { type Exchange, serverInfo, serverMeta } from "./lane.ts";
import { toFollow } from "./share.ts";

export interface Conduct {
  readonly policy: ToolPolicy;
  readonly mayBecomeTask: boolean;
  /** How long the server may say nothing of a request that it has, unless it waits for the user. Absent: as long as the call may run. */
  readonly maxSilenceMs?: number;
  /** Adds what only a complete result of this method has. */
  readonly finish: (result: JsonObject) => JsonObject;
}

/** Answers with what the server said, or with what went wrong. */
export function answer(
  { reply, route }: Exchange,
  { policy, finish }: Conduct,
  end: CallEnd | undefined,
): void {
  switch (end?.kind) {
    case "result": {
      const result = toJson(modernResult(finish(end.result), serverInfo(route.upstream)));
      const bytes = Buffer.byteLength(result);
      if (bytes > policy.maxResultBytes) throw rpc.resultTooLarge(bytes, policy.maxResultBytes);
      return reply.result(result);
    }
    case "error":
      throw end.isModern ? fromModernServer(end.error) : fromServer(end.error);
    case "ours":
      throw end.error;
    case "left":
      throw rpc.stopped();
    case "cancelled":
      throw rpc.internal(`The call was cancelled: ${end.reason}`);
    case undefined:
      throw new Error("a call that has not ended has no answer");
  }
}

/** The same, of a call that ran in another gateway, or that has ended some time ago. */
export function answerWithOutcome(exchange: Exchange, how: Conduct, outcome: Outcome): void {
  answer(exchange, how, toCallEnd(outcome));
}

/** Ends this round with what the server wants to know (2026-07-28, MRTR). */
export function askFor(
  { route, reply }: Exchange,
  asked: Readonly<Record<string, InputRequest>>,
  requestState: string,
): void {
  const inputRequests = modernInputRequests(asked);
  const result = { resultType: "input_required", inputRequests, requestState };
  reply.result(toJson(modernResult(result, serverInfo(route.upstream))));
}

/** `CreateTaskResult`: the task without what only some states have (Tasks §Task Creation). */
export function giveHandle(exchange: Exchange, task: TaskRecord): void {
  const { route, reply } = exchange;
  const view = toFollow(exchange, { task });
  reply.result(modernTask(view, task.updatedAt, { resultType: "task", _meta: serverMeta(route) }));
}

function toCallEnd(outcome: Outcome): CallEnd {
  switch (outcome.kind) {
    case "completed":
      return { kind: "result", result: JSON.parse(outcome.result) };
    case "failed":
      if (outcome.isOurs) return { kind: "ours", error: new RpcError(outcome.error) };
      return { kind: "error", error: outcome.error, ...(outcome.isModern ? { isModern: true } : {}) };
    case "cancelled":
      return { kind: "cancelled", reason: outcome.reason ?? "no reason was given" };
    case "lost":
      return { kind: "ours", error: rpc.internal(outcome.reason) };
  }
}
