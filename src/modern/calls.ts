import type { Call } from "../calls/call.ts";
import type { CallListener } from "../calls/call-end.ts";
import { isModernInput, modernInputRequests, readInputResponses } from "../calls/input.ts";
import { makesTasks } from "../calls/policy.ts";
import { endWhenSilent } from "../calls/silent-call.ts";
import type { FallbackPolicy, ToolPolicy } from "../config/config.ts";
import { rpc } from "../protocol/errors.ts";
import { checkParamHeaders, givenParamHeaders } from "../protocol/headers.ts";
import { type JsonObject, type JsonRpcNotification, saysObject, toJson } from "../protocol/jsonrpc.ts";
import { legacyParams } from "../protocol/legacy.ts";
import {
  callParams,
  declaresTasks,
  isLogged,
  modernResult,
  tasksNeeded,
  withCacheHints,
} from "../protocol/modern.ts";
import { withTraceContext } from "../protocol/request-headers.ts";
import type { Admission } from "../requests/admission.ts";
import { type FallbackTool, ownTool } from "../requests/fallback.ts";
import { FallbackTools, type ToolAnswer } from "../requests/fallback-tools.ts";
import { type Heartbeat, heartbeatFor } from "../requests/heartbeat.ts";
import { type IdempotencyKey, idempotencyKeyOf } from "../requests/idempotency.ts";
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
import { isOurState, MAX_ROUNDS } from "../tasks/awaiting-input.ts";
import { type CallAnswer, type Conduct, Conductor, fromOutcome } from "../tasks/conduct.ts";
import type { CallTask } from "../tasks/engine.ts";
import type { ToolCatalogue } from "../upstream/catalogue.ts";
import type { SessionHolder } from "../upstream/sessions/session.ts";
import { answer } from "./bridge.ts";
import { modernTask } from "./task-view.ts";

/** How long to keep the result of a call that awaited input from a client without tasks. */
const KEPT_AFTER_END_MS = 60_000;

interface Method {
  readonly policy: ToolPolicy;
  readonly mayBecomeTask: boolean;
  /** Present if the client knows no tasks, and a task is to look like a tool's result. */
  readonly fallback?: FallbackPolicy | undefined;
  /** Present if the client may send the call again. */
  readonly idempotency?: IdempotencyKey | undefined;
  /** How long the server may be silent about a request that it has, unless it waits for the user. Absent: as long as the call may run. */
  readonly maxSilenceMs?: number;
  /** Adds the fields that only a complete result of this method has. */
  readonly finish: (result: JsonObject) => JsonObject;
}

/** What of a request makes the call. */
interface CallContent {
  /** The params for an older server. */
  readonly salient: JsonObject;
  /** Answers to questions that the server has not asked yet. */
  readonly answers: JsonObject;
  readonly mayRepeat: boolean;
}

/** The methods for which the server may take any time. */
export function callMethods(
  services: Pick<
    Services,
    "engine" | "awaitingInput" | "quotas" | "stopping" | "drain" | "fallback" | "newCall"
  >,
  admission: Admission,
) {
  const { quotas, stopping, engine, fallback: fallbacks } = services;
  const conductor = new Conductor(services);
  const ownTools = new FallbackTools(services, admission);

  /** `tools/call`: answered directly when it is quick, with a task when it is not and the client knows tasks. */
  const callTool: Handle = async (exchange) => {
    const { route, params, envelope } = exchange;
    const { name, arguments: args } = params;
    if (typeof name !== "string") throw rpc.invalidParams("name must be a string");
    if (args !== undefined && !saysObject(args)) throw rpc.invalidParams("arguments must be an object");
    const knowsTasks = declaresTasks(envelope.capabilities);
    const own = knowsTasks ? undefined : ownTool(route, name);
    if (own !== undefined && (await answerItself(exchange, own))) return;
    await checkName(exchange, name);
    const policy = route.policy(name);
    const fallback = knowsTasks ? undefined : fallbacks.policyFor(route, name);
    if (policy.mode === "required" && !knowsTasks && fallback === undefined) throw tasksNeeded();
    await checkMirrored(exchange, name, args);
    const mayBecomeTask = fallback !== undefined || (knowsTasks && makesTasks(policy.mode));
    await conduct(exchange, {
      policy,
      mayBecomeTask,
      fallback,
      idempotency: idempotencyKeyOf(exchange),
      finish: (result) => result,
    });
  };

  /** One of the gateway's own tools. Returns whether the gateway has answered: the tool may be the server's after all. */
  async function answerItself(exchange: Exchange, tool: FallbackTool): Promise<boolean> {
    const { params, owner } = exchange;
    const answers = readInputResponses(params);
    // Only counts: the word says which task it is, and the caller whose.
    const round = Number.parseInt(String(params.requestState ?? 0), 10) || 0;
    const id = fallbacks.find(exchange, params.arguments);
    const waiter = waiterOf(exchange);
    const isAnswered = id !== undefined && Object.keys(answers).length > 0;
    if (isAnswered && (await engine.seek(id, owner, waiter)) !== undefined)
      await engine.update(id, owner, answers, waiter);
    const own = await ownTools.answer({
      ...exchange,
      tool,
      hasQuestions: (task) => round < MAX_ROUNDS && Object.values(task.inputRequests).some(isModernInput),
      isServers: () => toolsOf(exchange).isListed(String(params.name)),
    });
    return renderOwn(exchange, own, round);
  }

  function renderOwn(exchange: Exchange, own: ToolAnswer, round: number): boolean {
    switch (own.kind) {
      case "servers":
        return false;
      case "gone":
        return true;
      case "said":
        answer(exchange, own.result);
        return true;
      case "asks": {
        const inputRequests = modernInputRequests(own.task.inputRequests);
        answer(exchange, { resultType: "input_required", inputRequests, requestState: String(round + 1) });
        return true;
      }
      case "outcome": {
        const plain = fromOutcome(own.outcome);
        if (plain.kind === "error") throw plain.error;
        if (plain.kind === "result") answer(exchange, plain.result);
        return true;
      }
    }
  }

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
    const { progressToken } = exchange.envelope;
    const heartbeat = heartbeatFor(progressToken, how.policy.heartbeatMs, (said) =>
      exchange.reply.notify(said),
    );
    return conductWith(exchange, how, heartbeat).finally(() => heartbeat?.stop());
  }

  async function conductWith(
    exchange: Exchange,
    how: Method,
    heartbeat: Heartbeat | undefined,
  ): Promise<void> {
    const { params, method } = exchange;
    const answers = readInputResponses(params);
    const salient = legacyParams(params);
    const conducted = conductOf(exchange, how, salient, heartbeat);
    if (isRound(exchange)) {
      // The server has the call, and goes on with it as soon as it has the answers.
      exchange.reply.counted?.sent();
      return render(exchange, how, await conductor.resume(params.requestState, answers, conducted));
    }
    const call = newCall(exchange, how, { salient, answers, mayRepeat: await mayRepeat(exchange, how) });
    if (how.maxSilenceMs !== undefined) {
      const unheard = `the server did not answer ${method} within ${how.maxSilenceMs} ms (startTimeout)`;
      endWhenSilent(call, how.maxSilenceMs, unheard);
    }
    if (how.mayBecomeTask || how.idempotency !== undefined)
      call.listen({ onEnd: admission.takeTask(exchange) });
    return render(exchange, how, await begin(call, how, conducted));
  }

  function begin(call: Call, how: Method, conducted: Conduct): Promise<CallAnswer> {
    const isTask = how.mayBecomeTask && how.policy.mode === "always" && how.fallback === undefined;
    if (how.idempotency !== undefined) return conductor.beginOnce(call, conducted, isTask);
    return isTask ? conductor.beginAsTask(call, conducted) : conductor.begin(call, conducted);
  }

  function conductOf(
    exchange: Exchange,
    how: Method,
    { _meta, ...params }: JsonObject,
    heartbeat: Heartbeat | undefined,
  ): Conduct {
    const { owner, quotaKey, method, route, reply } = exchange;
    const { fallback, idempotency } = how;
    let task: CallTask | undefined;
    return {
      identity: { method, params, ...owner },
      // One word for all tries to make the call a task.
      task: () => (task ??= taskOf(exchange, how)),
      mayBecomeTask: how.mayBecomeTask,
      waitForMs: fallback?.afterMs ?? how.policy.waitForMs,
      isPunctual: fallback !== undefined,
      isRepeatable: idempotency !== undefined,
      maxResultBytes: how.policy.maxResultBytes,
      takePlace: () => quotas.take("held", quotaKey),
      waiter: waiterOf(exchange),
      beginner: beginnerOf(exchange, stopping),
      client: {
        gone: reply.gone,
        keepAlive: () => reply.keepAlive(),
        onSent: () => reply.counted?.sent(),
        ...tellProgress(exchange, heartbeat),
      },
      log: route.log,
    };
  }

  function taskOf(exchange: Exchange, how: Method): CallTask {
    const { fallback, idempotency } = how;
    const named = () => fallbacks.newTask(exchange, String(exchange.params.name), idempotency?.key);
    const task = fallback === undefined ? taskAwaitingInput(exchange, how) : named();
    // Whatever the client declares when it sends the call again, it is the same task.
    return idempotency === undefined
      ? task
      : { ...task, id: named().id, fingerprint: idempotency.fingerprint };
  }

  function newCall(
    exchange: Exchange,
    { policy: { maxRuntimeMs } }: Method,
    { salient, answers, mayRepeat }: CallContent,
  ): Call {
    const { route, params, method, envelope, server, sessionOwner, headers, held } = exchange;
    const { caller, capabilities, client } = sessionOwner;
    const level = envelope.logLevel === undefined ? {} : { logLevel: envelope.logLevel };
    const repeatable = mayRepeat ? { mayRepeat } : {};
    const introduced = client === undefined ? {} : { client };
    const told = { method, capabilities, ...introduced, headers: sessionOwner.headers, ...repeatable };
    const own = ownHeaders(exchange);
    const shared = { slots: admission.slots(exchange), caller, capabilities, method, maxRuntimeMs, held };
    if (server !== undefined) {
      const given = headers === undefined ? own : { ...own, ...givenParamHeaders(headers) };
      const lease = async (holder: SessionHolder) => server.lease(sessionOwner, given, holder);
      const sent = callParams(params);
      return services.newCall(route.config.name, {
        lease,
        params: sent,
        storedCall: { params: sent, isModern: true, ...told },
        isModern: true,
        ...shared,
      });
    }
    const sent = withTraceContext(salient, own);
    return services.newCall(route.config.name, {
      headers: Object.keys(own).length === 0 ? undefined : own,
      lease: (holder, over) => route.upstream.lease(sessionOwner, holder, over),
      params: sent,
      answers,
      storedCall: { params: sent, answers, ...level, ...told },
      ...level,
      ...shared,
    });
  }

  function render(
    exchange: Exchange,
    { policy, fallback, idempotency, finish }: Method,
    end: CallAnswer,
  ): void {
    const { reply, route } = exchange;
    switch (end.kind) {
      case "result": {
        const result = toJson(modernResult(finish(end.result), serverInfo(route.upstream)));
        const bytes = Buffer.byteLength(result);
        if (bytes > policy.maxResultBytes) throw rpc.resultTooLarge(bytes, policy.maxResultBytes);
        // Such a call is a task from the start, and counts as one.
        return reply.result(result, idempotency !== undefined);
      }
      case "error":
        throw end.error;
      case "asks": {
        const { requestState } = end;
        const inputRequests = modernInputRequests(end.inputRequests);
        return answer(exchange, { resultType: "input_required", inputRequests, requestState }, true);
      }
      case "handle": {
        // `CreateTaskResult`: the task without the fields that only some states have (Tasks §Task Creation).
        const { task } = end;
        if (fallback !== undefined) return answer(exchange, ownTools.detached(exchange, task), true);
        const fields = { resultType: "task", _meta: serverMeta(route) };
        return reply.result(modernTask(admission.toFollow(exchange, { task }), task.updatedAt, fields), true);
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

/** The task of a call awaiting input, of which the client may never hear. */
function taskAwaitingInput(exchange: Exchange, { policy, mayBecomeTask, idempotency }: Method): CallTask {
  const { name, uri } = exchange.params;
  const task = callTask(exchange, String(name ?? uri), "2026-07-28", policy);
  if (mayBecomeTask || idempotency !== undefined) return task;
  const { isListed: _, terms, ...rest } = task;
  // The gateway keeps it only in case the client loses our answer.
  return { ...rest, terms: { ...terms, ttlMs: Math.min(terms.ttlMs, KEPT_AFTER_END_MS) } };
}

/** Tells the client about a call while it waits: progress under its own token, and log messages. */
function tellProgress({ envelope, reply }: Exchange, heartbeat: Heartbeat | undefined): CallListener {
  const { logLevel } = envelope;
  const tell = (method: string, params: JsonObject | undefined) =>
    reply.notify({ jsonrpc: "2.0", method, ...(params === undefined ? {} : { params }) });
  return {
    onProgress: (progress) => heartbeat?.pass(progress),
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
