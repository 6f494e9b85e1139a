import { Call } from "../calls/call.ts";
import type { CallListener } from "../calls/call-end.ts";
import { modernInputRequests, readInputResponses } from "../calls/input.ts";
import { endWhenSilent } from "../calls/silent-call.ts";
import type { ToolPolicy } from "../config/config.ts";
import { rpc } from "../protocol/errors.ts";
import { checkParamHeaders, givenParamHeaders } from "../protocol/headers.ts";
import { type JsonObject, type JsonRpcNotification, saysObject, toJson } from "../protocol/jsonrpc.ts";
import { legacyParams } from "../protocol/legacy.ts";
import {
  callParams,
  declaresTasks,
  isLogged,
  modernResult,
  TASKS_EXTENSION,
  withCacheHints,
} from "../protocol/modern.ts";
import { withTraceContext } from "../protocol/request-headers.ts";
import type { Admission } from "../requests/admission.ts";
import {
  beginnerOf,
  callTask,
  type Exchange,
  type Handle,
  ownHeaders,
  type Services,
  serverInfo,
  serverMeta,
  waiterOf,
} from "../requests/request.ts";
import { isOurState } from "../tasks/awaiting-input.ts";
import { type CallAnswer, type Conduct, Conductor } from "../tasks/conduct.ts";
import type { CallTask } from "../tasks/engine.ts";
import type { ToolCatalogue } from "../upstream/catalogue.ts";
import type { SessionHolder } from "../upstream/sessions/session.ts";
import { modernTask } from "./task-view.ts";

/** How long to keep the result of a call that was held for a client without tasks. */
const KEPT_AFTER_END_MS = 60_000;

interface Method {
  readonly policy: ToolPolicy;
  readonly mayBecomeTask: boolean;
  /** How long the server may be silent about a request that it has, unless it waits for the user. Absent: as long as the call may run. */
  readonly maxSilenceMs?: number;
  /** Adds the fields that only a complete result of this method has. */
  readonly finish: (result: JsonObject) => JsonObject;
}

/** The methods for which the server may take any time. */
export function callMethods(
  services: Pick<Services, "engine" | "awaitingInput" | "quotas" | "stopping">,
  admission: Admission,
) {
  const { quotas, stopping } = services;
  const conductor = new Conductor(services);

  /** `tools/call`: answered directly when it is quick, with a task when it is not and the client knows tasks. */
  const callTool: Handle = async (exchange) => {
    const { route, params, envelope } = exchange;
    const { name, arguments: args } = params;
    if (typeof name !== "string") throw rpc.invalidParams("name must be a string");
    if (args !== undefined && !saysObject(args)) throw rpc.invalidParams("arguments must be an object");
    await checkName(exchange, name);
    const policy = route.policy(name);
    const knowsTasks = declaresTasks(envelope.capabilities);
    if (policy.mode === "required" && !knowsTasks)
      throw rpc.missingCapability({ extensions: { [TASKS_EXTENSION]: {} } });
    await checkMirrored(exchange, name, args);
    const mayBecomeTask = knowsTasks && policy.mode !== "never";
    await conduct(exchange, { policy, mayBecomeTask, finish: (result) => result });
  };

  /** `prompts/get`: like a tool's call, but never a task (Tasks §Supported Methods). */
  const getPrompt: Handle = (exchange) => {
    const { params, route } = exchange;
    if (typeof params.name !== "string") throw rpc.invalidParams("name must be a string");
    const { tasks: policy, upstream } = route.config;
    const maxSilenceMs = upstream.startTimeoutMs;
    return conduct(exchange, { policy, mayBecomeTask: false, maxSilenceMs, finish: (result) => result });
  };

  /** `resources/read`: as `prompts/get`, and the client may cache the result. */
  const readResource: Handle = (exchange) => {
    const { params, route } = exchange;
    if (typeof params.uri !== "string") throw rpc.invalidParams("uri must be a string");
    return conduct(exchange, { policy: route.config.tasks, mayBecomeTask: false, finish: withCacheHints });
  };

  /** Begins a call, or finds the call of which this request is another round, and waits with it for an answer. */
  async function conduct(exchange: Exchange, how: Method): Promise<void> {
    const { params, method } = exchange;
    const answers = readInputResponses(params);
    const conducted = conductOf(exchange, how);
    if (isRound(exchange))
      return render(exchange, how, await conductor.resume(params.requestState, answers, conducted));
    const call = newCall(exchange, how, answers, await mayRepeat(exchange, how));
    if (how.maxSilenceMs !== undefined) {
      const unheard = `the server did not answer ${method} within ${how.maxSilenceMs} ms (startTimeout)`;
      endWhenSilent(call, how.maxSilenceMs, unheard);
    }
    if (how.mayBecomeTask) call.listen({ onEnd: admission.takeTask(exchange) });
    const isTask = how.mayBecomeTask && how.policy.mode === "always";
    const answer = isTask ? conductor.beginAsTask(call, conducted) : conductor.begin(call, conducted);
    return render(exchange, how, await answer);
  }

  function conductOf(exchange: Exchange, how: Method): Conduct {
    const { owner, quotaKey, method, params, route, reply } = exchange;
    const { _meta, ...salient } = legacyParams(params);
    return {
      identity: { ...owner, method, params: salient },
      task: () => heldTask(exchange, how),
      mayBecomeTask: how.mayBecomeTask,
      waitForMs: how.policy.waitForMs,
      maxResultBytes: how.policy.maxResultBytes,
      takePlace: () => quotas.take("held", quotaKey),
      waiter: waiterOf(exchange),
      beginner: beginnerOf(exchange, stopping),
      client: { gone: reply.gone, keepAlive: () => reply.keepAlive(), ...tellProgress(exchange) },
      log: route.log,
    };
  }

  function newCall(
    exchange: Exchange,
    { policy: { maxRuntimeMs } }: Method,
    answers: JsonObject,
    mayRepeat: boolean,
  ): Call {
    const { route, params, method, envelope, server, sessionOwner, headers, held } = exchange;
    const { caller, capabilities } = sessionOwner;
    const level = envelope.logLevel === undefined ? {} : { logLevel: envelope.logLevel };
    const repeatable = mayRepeat ? { mayRepeat } : {};
    const told = { method, capabilities, headers: sessionOwner.headers, ...repeatable };
    const own = ownHeaders(exchange);
    const shared = { slots: admission.slots(exchange), caller, capabilities, method, maxRuntimeMs, held };
    if (server !== undefined) {
      const given = headers === undefined ? own : { ...own, ...givenParamHeaders(headers) };
      const lease = async (holder: SessionHolder) => server.lease(sessionOwner, given, holder);
      const sent = callParams(params);
      return new Call({
        ...shared,
        lease,
        params: sent,
        storedCall: { ...told, params: sent, isModern: true },
        isModern: true,
      });
    }
    const sent = withTraceContext(legacyParams(params), own);
    return new Call({
      ...shared,
      headers: own,
      lease: (holder, over) => route.upstream.lease(sessionOwner, holder, over),
      params: sent,
      answers,
      ...level,
      storedCall: { ...told, ...level, params: sent, answers },
    });
  }

  function render(exchange: Exchange, { policy, finish }: Method, answer: CallAnswer): void {
    const { reply, route } = exchange;
    switch (answer.kind) {
      case "result": {
        const result = toJson(modernResult(finish(answer.result), serverInfo(route.upstream)));
        const bytes = Buffer.byteLength(result);
        if (bytes > policy.maxResultBytes) throw rpc.resultTooLarge(bytes, policy.maxResultBytes);
        return reply.result(result);
      }
      case "error":
        throw answer.error;
      case "asks": {
        const { requestState } = answer;
        const inputRequests = modernInputRequests(answer.inputRequests);
        const result = { resultType: "input_required", inputRequests, requestState };
        return reply.result(toJson(modernResult(result, serverInfo(route.upstream))));
      }
      case "handle": {
        // `CreateTaskResult`: the task without the fields that only some states have (Tasks §Task Creation).
        const { task } = answer;
        const fields = { resultType: "task", _meta: serverMeta(route) };
        return reply.result(modernTask(admission.toFollow(exchange, { task }), task.updatedAt, fields));
      }
      case "handedOff":
        throw rpc.stopped();
      case "gone":
        return;
    }
  }

  return { callTool, getPrompt, readResource };
}

/** Whether a request is another round of a call that asked something. A modern server gives the client states of its own, not ours. */
export function isRound({ params: { requestState }, server }: Exchange): boolean {
  return requestState !== undefined && (server === undefined || isOurState(requestState));
}

/** Tools §Tool Names: names should have 128 characters at most. The gateway lets longer ones pass if the server lists them. */
const MAX_NAME_CHARS = 128;

async function checkName(exchange: Exchange, name: string): Promise<void> {
  if (name.length <= MAX_NAME_CHARS || (await toolsOf(exchange).isListed(name))) return;
  throw rpc.invalidParams(
    `name must have ${MAX_NAME_CHARS} characters at most, or be one that the server lists; got ${name.length}`,
  );
}

/** @throws -32020 when headers that should mirror arguments do not */
async function checkMirrored(exchange: Exchange, name: string, args: unknown): Promise<void> {
  const { headers } = exchange;
  if (headers === undefined) return;
  const tools = toolsOf(exchange);
  try {
    checkParamHeaders(headers, await tools.headerParams(name), args);
  } catch {
    // The client may know the tool's newer schema, and the gateway its older one.
    checkParamHeaders(headers, await tools.headerParams(name, true), args);
  }
}

/** Whether the call may be made again if its gateway dies (`onLoss: retry`). */
async function mayRepeat(exchange: Exchange, { policy, mayBecomeTask }: Method): Promise<boolean> {
  if (!mayBecomeTask || policy.onLoss !== "retry") return false;
  return policy.isUnsafe || toolsOf(exchange).isRepeatable(String(exchange.params.name));
}

/** The server's tools as the gateway knows them. */
function toolsOf(exchange: Exchange): ToolCatalogue {
  const { route, server } = exchange;
  const owner = exchange.sessionOwner;
  return server === undefined ? route.upstream.control(owner).tools : server.toolsOf(owner);
}

/** The task of a held call, of which the client may never hear. */
function heldTask(exchange: Exchange, { policy, mayBecomeTask }: Method): CallTask {
  const { name, uri } = exchange.params;
  const task = callTask(exchange, String(name ?? uri), policy);
  if (mayBecomeTask) return task;
  const { isListed: _, terms, ...rest } = task;
  // The gateway keeps it only in case the client loses our answer.
  return { ...rest, terms: { ...terms, ttlMs: Math.min(terms.ttlMs, KEPT_AFTER_END_MS) } };
}

/** Tells the client about a call while it waits: progress under its own token, and log messages. */
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

/** Notifications that a modern client gets on `subscriptions/listen`, or not at all any more. */
const ELSEWHERE: readonly string[] = [
  "notifications/tools/list_changed",
  "notifications/prompts/list_changed",
  "notifications/resources/list_changed",
  "notifications/resources/updated",
  "notifications/elicitation/complete",
  "notifications/tasks/status",
];
