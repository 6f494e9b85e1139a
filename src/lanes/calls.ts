import { setTimeout as sleep } from "node:timers/promises";
import { seldom } from "../ops/seldom.ts";
import { rpc } from "../protocol/errors.ts";
import { checkParamHeaders, givenParamHeaders } from "../protocol/headers.ts";
import { type JsonObject, type JsonRpcNotification, saysObject } from "../protocol/jsonrpc.ts";
import { legacyParams } from "../protocol/legacy.ts";
import { callParams, declaresTasks, isLogged, TASKS_EXTENSION, withCacheHints } from "../protocol/modern.ts";
import { withTraceContext } from "../protocol/request-headers.ts";
import { StoreUnavailable } from "../stores/task-store.ts";
import { Call } from "../tasks/call.ts";
import type { CallListener } from "../tasks/call-listener.ts";
import type { CallTask } from "../tasks/engine.ts";
import { isOurState, type RequestIdentity } from "../tasks/held.ts";
import { readInputResponses } from "../tasks/input.ts";
import { endWhenSilent } from "../tasks/silent-call.ts";
import type { WaiterOf } from "../tasks/store-wait.ts";
import { nextMoment } from "../tasks/wait.ts";
import type { ToolCatalogue } from "../upstreams/catalogue.ts";
import type { SessionHolder } from "../upstreams/session.ts";
import { answer, askFor, type Conduct, giveHandle } from "./call-answer.ts";
import { type AnsweredRound, attendElsewhere, hasAskedOften } from "./call-elsewhere.ts";
import { beginnerOf, callTask, type Exchange, type Lane, ownHeaders, waiterOf } from "./lane.ts";
import { givingUp, sharedSlots, takeTask } from "./share.ts";

/** How long the result stays of a call that was held for a client which does not know tasks. */
const KEPT_AFTER_END_MS = 60_000;
/** How often it is tried, while the store is away, to hold a call or to make it a task. */
const STORE_RETRY_MS = 250;

/** `tools/call`: answered directly when it is quick, with a task when it is not and the client knows what that is. */
export const callTool: Lane = async (exchange) => {
  const { route, params, envelope, headers } = exchange;
  const { name, arguments: args } = params;
  if (typeof name !== "string") throw rpc.invalidParams("name must be a string");
  if (args !== undefined && !saysObject(args)) throw rpc.invalidParams("arguments must be an object");
  await checkName(exchange, name);
  const policy = route.policy(name);
  const knowsTasks = declaresTasks(envelope.capabilities);
  if (policy.mode === "required" && !knowsTasks) {
    throw rpc.missingCapability({ extensions: { [TASKS_EXTENSION]: {} } });
  }
  if (headers !== undefined) {
    const tools = toolsOf(exchange);
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

/** Tools §Tool Names: names should have 128 characters at most. A server that lists a longer one is not cut off from it. */
const MAX_NAME_CHARS = 128;

async function checkName(exchange: Exchange, name: string): Promise<void> {
  if (name.length <= MAX_NAME_CHARS || (await toolsOf(exchange).isListed(name))) return;
  throw rpc.invalidParams(
    `name must have ${MAX_NAME_CHARS} characters at most, or be one that the server lists; got ${name.length}`,
  );
}

/** `prompts/get`: like a tool's call, but never a task (Tasks §Supported Methods). */
export const getPrompt: Lane = (exchange) => {
  if (typeof exchange.params.name !== "string") throw rpc.invalidParams("name must be a string");
  return conduct(exchange, {
    policy: exchange.route.config.tasks,
    mayBecomeTask: false,
    maxSilenceMs: exchange.route.config.upstream.startTimeoutMs,
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

/** Begins a call, or finds the one that this request is another round of, and stays with it until there is an answer. */
async function conduct(exchange: Exchange, how: Conduct): Promise<void> {
  const { route, params, method } = exchange;
  const { owner } = exchange;
  const answers = readInputResponses(params);
  const { _meta, ...salient } = legacyParams(params);
  const identity: RequestIdentity = { ...owner, method, params: salient };
  if (isRound(exchange)) {
    const waiter = waiterOf(exchange);
    const { task, round } = await route.held.resume(params.requestState, identity, waiter);
    // The client did not get the handle the first time.
    if (await route.engine.isTold(task.id, waiter)) return giveHandle(exchange, task);
    await route.engine.update(task.id, owner, answers, waiter);
    const call = route.engine.callOf(task.id);
    // How a call ended that was held is for the store to say.
    return call === undefined || call.end !== undefined
      ? attendElsewhere(exchange, how, { id: task.id, round })
      : attend(exchange, how, call, identity, { id: task.id, round });
  }
  const call = newCall(exchange, how, answers, await mayRepeat(exchange, how));
  if (how.maxSilenceMs !== undefined) {
    const unheard = `the server did not answer ${method} within ${how.maxSilenceMs} ms (startTimeout)`;
    endWhenSilent(call, how.maxSilenceMs, unheard);
  }
  if (how.mayBecomeTask) call.listen({ onEnd: takeTask(exchange) });
  if (how.mayBecomeTask && how.policy.mode === "always") {
    // The record comes before the call: what cannot be kept is not begun.
    await handOver(exchange, how, call, call.attend(), beginnerOf(exchange)).catch(givingUp(call));
    call.start();
    return;
  }
  return attend(exchange, how, call.start(), identity);
}

/** Whether a request goes on with a call that asked something. A server that has rounds of its own gives the client a state that is not ours. */
export function isRound({ params: { requestState }, server }: Exchange): boolean {
  return requestState !== undefined && (server === undefined || isOurState(requestState));
}

function newCall(
  exchange: Exchange,
  { policy: { maxRuntimeMs } }: Conduct,
  answers: JsonObject,
  mayRepeat: boolean,
): Call {
  const { route, params, method, envelope, server, headers, held } = exchange;
  const owner = exchange.sessionOwner;
  const { caller, capabilities } = owner;
  const level = envelope.logLevel === undefined ? {} : { logLevel: envelope.logLevel };
  const repeatable = mayRepeat ? { mayRepeat } : {};
  const told = { method, capabilities, headers: owner.headers, ...repeatable };
  const own = ownHeaders(exchange);
  const shared = { slots: sharedSlots(exchange), caller, capabilities, method, maxRuntimeMs, held };
  if (server !== undefined) {
    const given = headers === undefined ? own : { ...own, ...givenParamHeaders(headers) };
    const lease = async (holder: SessionHolder) => server.lease(owner, given, holder);
    const sent = callParams(params);
    return new Call({
      ...shared,
      lease,
      params: sent,
      recipe: { ...told, params: sent, isModern: true },
      isModern: true,
    });
  }
  const sent = withTraceContext(legacyParams(params), own);
  return new Call({
    ...shared,
    headers: own,
    lease: (holder, over) => route.upstream.lease(owner, holder, over),
    params: sent,
    answers,
    ...level,
    recipe: { ...told, ...level, params: sent, answers },
  });
}

/** Whether the call may be made again, should its gateway die (`onLoss: retry`). */
async function mayRepeat(exchange: Exchange, { policy, mayBecomeTask }: Conduct): Promise<boolean> {
  if (!mayBecomeTask || policy.onLoss !== "retry") return false;
  return policy.isUnsafe || toolsOf(exchange).isRepeatable(String(exchange.params.name));
}

/** What is known of the server's tools. */
function toolsOf(exchange: Exchange): ToolCatalogue {
  const { route, server } = exchange;
  const owner = exchange.sessionOwner;
  return server === undefined ? route.upstream.control(owner).tools : server.toolsOf(owner);
}

/** Stays with a call until it has ended, asks for something, takes too long, or the client has gone. */
async function attend(
  exchange: Exchange,
  how: Conduct,
  call: Call,
  identity: RequestIdentity,
  answered?: AnsweredRound,
): Promise<void> {
  const { reply, route } = exchange;
  reply.keepAlive();
  const stopTelling = call.listen(tellProgress(exchange));
  const leave = call.attend();
  let { waitForMs: windowMs } = how.policy;
  try {
    for (;;) {
      const window = how.mayBecomeTask ? { windowMs } : {};
      const moment = await nextMoment(call, { gone: reply.gone, ...window });
      switch (moment === "asked" && how.mayBecomeTask && hasAskedOften(answered) ? "elapsed" : moment) {
        case "gone":
          // A round that is repeated may find the first one still waiting, and the other way round.
          if (leave()) call.cancel("the client hung up");
          return;
        case "asked":
          try {
            return await askClient(exchange, how, call, { identity, round: (answered?.round ?? 0) + 1 });
          } catch (error) {
            if (!(error instanceof StoreUnavailable)) throw error;
            // The client could not come back to it; it is still here to wait.
            seldom(route.log).say("warn", { err: error }, "a call could not be held; trying again");
            await sleep(STORE_RETRY_MS);
            break;
          }
        case "ended":
          if (call.end?.kind === "left" && answered !== undefined)
            return attendElsewhere(exchange, how, answered);
          return answer(exchange, how, call.end);
        case "elapsed":
          try {
            return await handOver(exchange, how, call, leave);
          } catch (error) {
            // Without a store there are no tasks, but this client is still here to wait, and not for longer than need be.
            if (!(error instanceof StoreUnavailable)) throw error;
            seldom(route.log).say(
              "warn",
              { err: error },
              "could not create a task; the client waits for the result, or for the task once the store takes one",
            );
            windowMs = STORE_RETRY_MS;
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
  waiter?: WaiterOf,
): Promise<void> {
  const { route, params, reply } = exchange;
  const task = await route.engine.adopt(
    call,
    callTask(exchange, String(params.name), policy),
    policy.maxResultBytes,
    waiter,
  );
  // Whoever repeats a round is to get the same handle.
  if (task.rounds !== undefined) await route.engine.tell(task);
  if (reply.gone.aborted) {
    // Nobody has heard of the task, so nobody can ever ask for it; unless another round gets the same handle.
    if (leave()) await route.engine.cancel(task.id, exchange.owner);
    return;
  }
  route.held.release(call);
  giveHandle(exchange, task);
}

/** Ends this round with what the server wants to know (2026-07-28, MRTR). */
async function askClient(
  exchange: Exchange,
  how: Conduct,
  call: Call,
  { identity, round }: { readonly identity: RequestIdentity; readonly round: number },
): Promise<void> {
  const asked = call.inputRequests;
  const task = heldTask(exchange, how);
  const { held, quotas } = exchange.route;
  held.admit(call, () => quotas.take("held", exchange.quotaKey));
  const { maxResultBytes } = how.policy;
  const requestState = await held.hold(call, identity, task, { maxResultBytes, round });
  askFor(exchange, asked, requestState);
}

/** A held call is a task, of which the client may never be told. */
function heldTask(exchange: Exchange, { policy, mayBecomeTask }: Conduct): CallTask {
  const { name, uri } = exchange.params;
  const task = callTask(exchange, String(name ?? uri), policy);
  if (mayBecomeTask) return task;
  const { isListed: _, terms, ...rest } = task;
  // It is kept only in case the client loses our answer.
  return { ...rest, terms: { ...terms, ttlMs: Math.min(terms.ttlMs, KEPT_AFTER_END_MS) } };
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
