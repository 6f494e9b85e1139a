import { fromServer, rpc } from "../protocol/errors.ts";
import { declaresEvents, withEvents } from "../protocol/events.ts";
import { isObject, type JsonObject, toJson } from "../protocol/jsonrpc.ts";
import { ofNoType, withoutEnvelope } from "../protocol/legacy.ts";
import {
  declaresTasks,
  MODERN_VERSIONS,
  modernResult,
  withCacheHints,
  withTasks,
} from "../protocol/modern.ts";
import { withTraceContext } from "../protocol/request-headers.ts";
import { amendedResult } from "../requests/amended.ts";
import { type Exchange, type Handle, ownHeaders, type Services, serverInfo } from "../requests/request.ts";
import { UpstreamFailure } from "../upstream/failure.ts";
import { tellsEvents } from "./told-events.ts";

/** `server/discover`: what the legacy server declared in its handshake, with tasks (2026-07-28, Discovery), and with the gateway's events. */
export function discoverer(services: Pick<Services, "events">): Handle {
  return (exchange) => discover(exchange, tellsEvents(services, exchange));
}

async function discover(exchange: Exchange, isTold: boolean): Promise<void> {
  const { capabilities, instructions } = await exchange.route.upstream
    .control(exchange.sessionOwner)
    .describe()
    .catch(rejectAsRpcError);
  // A legacy server's `tasks` are the experimental ones of 2025-11-25, which a modern client does not know.
  const { tasks: _, ...others } = capabilities;
  const all = withTasks(others);
  answer(exchange, {
    supportedVersions: MODERN_VERSIONS,
    capabilities: isTold && !declaresEvents(others) ? withEvents(all) : all,
    ...(instructions === undefined ? {} : { instructions }),
    ...withCacheHints({}),
  });
}

/** Passes a request to the legacy server, and its result to the client, both unchanged. */
export const relay: Handle = async (exchange) => {
  answer(exchange, await ask(exchange));
};

/** Lists that a client may cache. */
export const list: Handle = async (exchange) => {
  answer(exchange, withCacheHints(await ask(exchange)));
};

/** `tools/list`, without `execution`: the gateway decides whether a tool may become a task, and may decide otherwise later. */
export function toolLister({ fallback }: Pick<Services, "fallback">): Handle {
  return async (exchange) => {
    const { route, params, envelope } = exchange;
    const result = await ask(exchange);
    route.upstream.listed.noteAll(result);
    const tools = Array.isArray(result.tools) ? result.tools.map(withoutExecution) : result.tools;
    const listed = withCacheHints({ ...result, tools });
    const amend = declaresTasks(envelope.capabilities) ? undefined : fallback.listing(route, params.cursor);
    answer(exchange, amend === undefined ? listed : amendedResult(listed, amend));
  };
}

/** Rejects with the answer for a failure between the gateway and the server. */
export function rejectAsRpcError(error: unknown): Promise<never> {
  return Promise.reject(
    error instanceof UpstreamFailure ? rpc.upstreamFailed(error.message, error.facts) : error,
  );
}

async function ask(exchange: Exchange): Promise<JsonObject> {
  const { route, method, params } = exchange;
  const control = route.upstream.control(exchange.sessionOwner);
  const headers = ownHeaders(exchange);
  const sent = withTraceContext(withoutEnvelope(params), headers);
  const response = await control.ask(method, sent, { headers }).catch(rejectAsRpcError);
  if ("error" in response) throw fromServer(response.error);
  return ofNoType(response.result);
}

/** Answers with a result, complete unless it says otherwise, under the server's name. @param isInterim as for `Reply.result` */
export function answer({ reply, route }: Exchange, result: JsonObject, isInterim?: boolean): void {
  reply.result(toJson(modernResult(result, serverInfo(route.upstream))), isInterim);
}

function withoutExecution(tool: unknown): unknown {
  if (!isObject(tool)) return tool;
  const { execution: _, ...rest } = tool;
  return rest;
}
