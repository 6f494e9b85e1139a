import type { ToolPolicy } from "../config/config.ts";
import { fromModernServer, fromServer, rpc } from "../protocol/errors.ts";
import { checkParamHeaders, givenParamHeaders } from "../protocol/headers.ts";
import {
  isObject,
  type JsonObject,
  type JsonRpcNotification,
  type JsonText,
  toJson,
} from "../protocol/jsonrpc.ts";
import { legacyParams } from "../protocol/legacy.ts";
import {
  callParams,
  declaresTasks,
  isLogged,
  modernResult,
  TASKS_EXTENSION,
  withCacheHints,
} from "../protocol/modern.ts";
import { StoreUnavailable, type TaskRecord } from "../stores/task-store.ts";
import { Call, type CallListener } from "../tasks/call.ts";
import type { CallEnd } from "../tasks/call-end.ts";
import { isOurState, type RequestIdentity } from "../tasks/held.ts";
import { modernInputRequests, readInputResponses } from "../tasks/input.ts";
import { modernTask } from "../tasks/view.ts";
import { nextMoment } from "../tasks/wait.ts";
import type { SessionHolder } from "../upstreams/session.ts";
import {
  callTask,
  claimantOf,
  type Exchange,
  type Lane,
  ownerOf,
  type Route,
  serverInfo,
  serverMeta,
} from "./lane.ts";

/** `tools/call`: answered directly when it is quick, with a task when it is not and the client knows what that is. */
export const callTool: Lane = async (exchange) => {
  const { route, params, envelope, headers, server } = exchange;
  const { name, arguments: args } = params;
  if (typeof name !== "string") throw rpc.invalidParams("name must be a string");
  if (args !== undefined && !isObject(args)) throw rpc.invalidParams("arguments must be an object");
  const policy = route.policy(name);
  const knowsTasks = declaresTasks(envelope.capabilities);
  if (policy.mode === "required" && !knowsTasks) {
    throw rpc.missingCapability({ extensions: { [TASKS_EXTENSION]: {} } });
  }
  if (headers !== undefined) {
    const owner = ownerOf(exchange);
    const tools = server === undefined ? route.upstream.control(owner).tools : server.toolsOf(owner);
    try {
      checkParamHeaders(headers, await tools.headerParams(name), args);
    } catch {
      // The client may know the tool as it is now, and we as it was.
      checkParamHeaders(headers, await tools.headerParams(name, true), args);
    }
  }
  await conduct(exchange, {
    policy,
    mayBecomeTask: knowsTasks && policy.mode !== "never",
    finish: (result) => result,
  });
};

/** `prompts/get`: like a tool's call, but never a task (Tasks §Supported Methods). */
export const getPrompt: Lane = (exchange) => {
  if (typeof exchange.params.name !== "string") throw rpc.invalidParams("name must be a string");
  return conduct(exchange, {
    policy: exchange.route.config.tasks,
    mayBecomeTask: false,
    finish: (result) => result,
  });
};

/** `resources/read`: as `prompts/get`, and what comes of it may be cached. */
export const readResource: Lane = (exchange) => {
  if (typeof exchange.params.uri !== "string") throw rpc.invalidParams("uri must be a string");
  return conduct(exchange, {
    policy: exchange.route.config.tasks,
    mayBecomeTask: false,
    finish: withCacheHints,
  });
};

interface Conduct {
  readonly policy: ToolPolicy;
  readonly mayBecomeTask: boolean;
  /** Adds what only a complete result of this method has. */
  readonly finish: (result: JsonObject) => JsonObject;
}

/** Begins a call, or finds the one that this request is another round of, and stays with it until there is an answer. */
async function conduct(exchange: Exchange, how: Conduct): Promise<void> {
  const { route, params, caller, method, server } = exchange;
  const answers = readInputResponses(params);
  const { _meta, ...salient } = legacyParams(params);
  const identity: RequestIdentity = { route: route.config.name, caller: caller.key, method, params: salient };
  // A server that has rounds of its own gave the client the state that is not ours.
  if (params.requestState !== undefined && (server === undefined || isOurState(params.requestState))) {
    const held = await route.held.resume(params.requestState, identity);
    if ("taskId" in held) return repeatHandle(exchange, held.taskId);
    held.call.answer(answers);
    return attend(exchange, how, held.call, identity);
  }
  if (route.stopping.aborted) throw rpc.stopping();
  const call = newCall(exchange, how.policy, answers);
  if (how.mayBecomeTask && how.policy.mode === "always") {
    // The record comes before the call: what cannot be kept is not begun.
    await handOver(exchange, how, call, call.attend());
    call.start();
    return;
  }
  return attend(exchange, how, call.start(), identity);
}

function newCall(exchange: Exchange, { maxRuntimeMs }: ToolPolicy, answers: JsonObject): Call {
  const { route, params, method, envelope, server, headers } = exchange;
  const owner = ownerOf(exchange);
  const { caller, capabilities } = owner;
  const shared = { slots: route.slots, caller, capabilities, method, maxRuntimeMs };
  if (server !== undefined) {
    const given = headers === undefined ? {} : givenParamHeaders(headers);
    const lease = async (holder: SessionHolder) => server.lease(owner, given, holder);
    return new Call({ ...shared, lease, params: callParams(params), isModern: true });
  }
  return new Call({
    ...shared,
    lease: (holder, over) => route.upstream.lease(owner, holder, over),
    params: legacyParams(params),
    answers,
    ...(envelope.logLevel === undefined ? {} : { logLevel: envelope.logLevel }),
  });
}

/** Stays with a call until it has ended, asks for something, takes too long, or the client has gone. */
async function attend(
  exchange: Exchange,
  how: Conduct,
  call: Call,
  identity: RequestIdentity,
): Promise<void> {
  const { reply, route } = exchange;
  reply.keepAlive();
  const stopTelling = call.listen(tellProgress(exchange));
  const leave = call.attend();
  let mayBecomeTask = how.mayBecomeTask;
  try {
    for (;;) {
      const window = mayBecomeTask ? { windowMs: how.policy.waitForMs } : {};
      switch (await nextMoment(call, { gone: reply.gone, ...window })) {
        case "gone":
          // A round that is repeated may find the first one still waiting, and the other way round.
          if (leave()) call.cancel("the client hung up");
          return;
        case "asked":
          return await askClient(exchange, call, identity);
        case "ended":
          return answer(exchange, how, call.end);
        case "elapsed":
          try {
            return await handOver(exchange, how, call, leave);
          } catch (error) {
            // Without a store there are no tasks, but this client is still here to wait.
            if (!(error instanceof StoreUnavailable)) throw error;
            route.log.warn(
              { err: error },
              "no task could be created; the client waits for the result instead",
            );
            mayBecomeTask = false;
          }
      }
    }
  } finally {
    leave();
    stopTelling();
  }
}

/** Makes the call a task and tells the client so: durable first, then told (Tasks §Task Creation). */
async function handOver(
  exchange: Exchange,
  { policy }: Conduct,
  call: Call,
  leave: () => boolean,
): Promise<void> {
  const { route, params, reply } = exchange;
  const task = await route.engine.adopt(
    call,
    callTask(exchange, String(params.name), policy),
    policy.maxResultBytes,
  );
  route.held.becomes(call, task.id);
  if (reply.gone.aborted) {
    // Nobody has heard of the task, so nobody can ever ask for it; unless another round gets the same handle.
    if (leave()) await route.engine.cancel(task.id, claimantOf(exchange));
    return;
  }
  reply.result(handleOf(route, task));
}

/** The client did not get the handle the first time. */
async function repeatHandle(exchange: Exchange, taskId: string): Promise<void> {
  const { route, reply } = exchange;
  const { task } = await route.engine.get(taskId, claimantOf(exchange));
  reply.result(handleOf(route, task));
}

/** `CreateTaskResult`: the task without what only some states have (Tasks §Task Creation). */
function handleOf(route: Route, task: TaskRecord): JsonText {
  return modernTask({ task }, task.updatedAt, { resultType: "task", _meta: serverMeta(route) });
}

/** Ends this round with what the server wants to know (2026-07-28, MRTR). */
async function askClient({ route, reply }: Exchange, call: Call, identity: RequestIdentity): Promise<void> {
  const inputRequests = modernInputRequests(call.inputRequests);
  const requestState = await route.held.hold(call, identity);
  reply.result(
    toJson(
      modernResult({ resultType: "input_required", inputRequests, requestState }, serverInfo(route.upstream)),
    ),
  );
}

function answer({ reply, route }: Exchange, { policy, finish }: Conduct, end: CallEnd | undefined): void {
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
    case "cancelled":
      throw rpc.internal(`The call was cancelled: ${end.reason}`);
    case undefined:
      throw new Error("a call that has not ended has no answer");
  }
}

/** What the client wants to hear of a call while it waits: progress under its own token, and log messages. */
function tellProgress({ envelope, reply }: Exchange): CallListener {
  const { progressToken, logLevel } = envelope;
  const tell = (method: string, params: JsonObject | undefined) =>
    reply.notify({ jsonrpc: "2.0", method, ...(params === undefined ? {} : { params }) });
  return {
    onProgress: (progress) => {
      if (progressToken !== undefined) tell("notifications/progress", { progressToken, ...progress });
    },
    onNotification: ({ method, params }: JsonRpcNotification) => {
      if (
        method === "notifications/message" ? isLogged(params?.level, logLevel) : !ELSEWHERE.includes(method)
      ) {
        tell(method, params);
      }
    },
  };
}

/** What a modern client hears on `subscriptions/listen`, or not at all any more. */
const ELSEWHERE: readonly string[] = [
  "notifications/tools/list_changed",
  "notifications/prompts/list_changed",
  "notifications/resources/list_changed",
  "notifications/resources/updated",
  "notifications/elicitation/complete",
  "notifications/tasks/status",
];
