import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";
import type { NewCall } from "../calls/new-call.ts";
import type { Policy } from "../calls/policy.ts";
import type { Slots } from "../calls/slots.ts";
import type { HttpUpstreamConfig, ServerConfig } from "../config/config.ts";
import type { Signal } from "../lib/signal.ts";
import type { SharedBytes } from "../limits/bytes.ts";
import type { QuotaKey } from "../limits/counter.ts";
import type { Quotas } from "../limits/quotas.ts";
import type { CallCounts, CountedCall } from "../observers/calls/call-counts.ts";
import type { Traces } from "../observers/traces/traces.ts";
import { type RpcError, rpc } from "../protocol/errors.ts";
import type { Headers } from "../protocol/headers.ts";
import {
  type JsonObject,
  type JsonRpcNotification,
  type JsonText,
  type RequestId,
  toJson,
} from "../protocol/jsonrpc.ts";
import { type Envelope, META, type ServerInfo } from "../protocol/modern.ts";
import { requestHeaders } from "../protocol/request-headers.ts";
import type { TraceContext } from "../protocol/trace-context.ts";
import type { Generation, TaskOwner, TaskTerms } from "../store/task-store.ts";
import type { CallsAwaitingInput } from "../tasks/awaiting-input.ts";
import type { Drain } from "../tasks/drain.ts";
import type { CallTask, TaskEngine } from "../tasks/engine.ts";
import type { PollThrottle } from "../tasks/poll-throttle.ts";
import type { WaiterOf } from "../tasks/store-wait.ts";
import type { ModernServer } from "../upstream/modern/server.ts";
import type { SessionOwner } from "../upstream/sessions/session.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { VERSION } from "../version.ts";
import type { ClientSubscriptions } from "../webhooks/subscriptions/client-subscriptions.ts";
import type { Fallback } from "./fallback.ts";
import type { OpenStreams } from "./open-streams.ts";

/** The caller, as the owner of tasks and sessions. */
export interface Caller {
  /** Names the owner of tasks. */
  readonly key: string;
  /** Whether the gateway tells callers apart at all: only then may it list tasks. Absent: no. */
  readonly isIdentified?: boolean;
  /** The caller's own headers that the server gets, whichever handler answers. Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Headers for the gateway alone, even where it forwards all others. Names in lower case. */
  readonly withheld?: readonly string[];
  /** Why the caller owns no tasks: its credential is missing, or the server does not take it. Absent: it owns its own. */
  readonly refusal?: RpcError | undefined;
  /**
   * Asks the server whether it takes the credential, and gives the caller accordingly. Absent: there is nothing to ask, or the gateway
   * asked a while ago. Never rejects.
   */
  readonly confirm?: () => Promise<Caller>;
}

/** One server as the gateway offers it, from its first configuration until another server, or none, has taken its place. */
export interface Route {
  /** What concerns the calls of its tools may change: look it up when it is needed. The rest stays. */
  readonly config: ServerConfig;
  readonly upstream: Upstream;
  readonly policy: Policy;
  readonly slots: Slots;
  readonly log: Logger;
  /** Aborted when another configuration has removed or replaced the server: it begins to drain. */
  readonly leaving: AbortSignal;
  /** Whether the configuration has no such server any more: it begins no calls, and its tasks stay. */
  readonly isRemoved: boolean;
  /** Whether it has drained: no session of it is open, and none opens again. */
  readonly isClosed: boolean;
  /** Notes a request that may need the server until the returned function is called. */
  enter(): () => void;
  /** Calls `changed` when the rules for its tools have changed. Returns the function that stops it. */
  onRules(changed: () => void): () => void;
}

/** The parts that all routes share. */
export interface Services {
  readonly engine: TaskEngine;
  readonly awaitingInput: CallsAwaitingInput;
  readonly streams: OpenStreams;
  readonly quotas: Quotas;
  readonly pollThrottle: PollThrottle;
  readonly drain: Drain;
  readonly fallback: Fallback;
  /** Absent where nobody could look. */
  readonly callCounts?: CallCounts | undefined;
  readonly newCall: NewCall;
  /** Clients' own subscriptions to their tasks. Absent: they have none. */
  readonly events?: ClientSubscriptions | undefined;
  /** Absent: requests leave no traces. */
  readonly traces?: Traces | undefined;
  /** Aborted when the gateway is about to stop: streams that never end by themselves end now. */
  readonly stopping: AbortSignal;
}

/** Who asks, and where: found out once, at the door, for everything that a request does. */
export interface Identified {
  readonly route: Route;
  readonly caller: Caller;
  /** The owner of its tasks. A caller with a `refusal` owns none: `needsOwner`. */
  readonly owner: TaskOwner;
  /** The key by which limits count its use. */
  readonly quotaKey: QuotaKey;
  /** The owner of the sessions with the server; with the capabilities that the request declares. */
  readonly sessionOwner: SessionOwner;
}

export function identified(route: Route, caller: Caller): Identified {
  const { key, isIdentified = false, headers } = caller;
  const { name } = route.config;
  return {
    route,
    caller,
    owner: { route: name, caller: key },
    quotaKey: { caller: key, isIdentified },
    sessionOwner: { caller: key, isIdentified, headers, capabilities: {} },
  };
}

/** The answer to one request: a single JSON object, or a stream as soon as there is something to stream. */
export interface Reply {
  /** Whether the client can read a stream of events. */
  readonly readsStreams: boolean;
  /** Aborted when the client hangs up before it has its answer. */
  readonly gone: Signal;
  /**
   * Waits until the gateway may hold an answer of this length until the client reads it. Absent: at once.
   * @throws HTTP 503 when there is no room in time
   */
  room?(chars: number): Promise<void>;
  /**
   * Sends the answer. Everything after it is ignored.
   * @param isInterim whether the answer to a call is not its result but a task or questions, or the result is counted elsewhere. Absent: no
   */
  result(result: JsonText, isInterim?: boolean): void;
  /** Sends a message before the answer. Returns whether it was sent: not to a client that cannot read streams, or does not. */
  notify(message: JsonRpcNotification | JsonText): boolean;
  /** Accepts a notification or an answer, which has no answer itself. */
  acknowledge(): void;
  /** Ends the exchange without an answer, because the client no longer wants it. */
  drop(): void;
  /** Opens the stream at once. @throws HTTP 406 when the client reads none */
  open(): void;
  /** From now on sends comments while the stream is quiet, so that nothing on the way drops the connection. */
  keepAlive(): void;
  /** Resolves when a slow client has read what was sent, or has left. `undefined`: nothing waits for the client. */
  drained(): Promise<void> | undefined;
  /** The call that it answers. Absent: it answers something else, or nobody counts. */
  readonly counted?: CountedCall | undefined;
}

/** A modern request whose headers and envelope have been checked. */
export interface Exchange extends Identified {
  /** Undefined for a transport without headers, such as stdio: then there is nothing to check. */
  readonly headers: Headers | undefined;
  readonly id: RequestId;
  readonly method: string;
  readonly params: JsonObject;
  readonly envelope: Envelope;
  readonly reply: Reply;
  /** Gives the request as it came over HTTP, to be forwarded; undefined on another transport. */
  readonly toHttp?: (() => HttpExchange) | undefined;
  /** The memory that the request takes. Absent: it is not counted. */
  readonly held?: SharedBytes | undefined;
  /** The server, if it speaks 2026-07-28 itself: then the gateway takes part in tasks only. */
  readonly server?: ModernServer | undefined;
}

/** A modern request before any check. */
export type Asked = Omit<Exchange, "envelope">;

/** A request over HTTP as it came, to be forwarded as such: nothing of it has been checked. */
export interface HttpExchange extends Identified {
  /** Where the server is. */
  readonly server: HttpUpstreamConfig;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The path by which the client knows the route, and the query behind it, question mark included. */
  readonly path: string;
  readonly query: string;
  /** The path below which the client finds all paths of the server. */
  readonly mount: string;
  /** The body as it came; absent for a verb without one. */
  readonly body: Buffer | undefined;
  /** The parsed body, if it is JSON. */
  readonly message: unknown;
  /** The trace context that the server is to see in the headers. Absent: the client's, if it gave one. */
  readonly trace?: TraceContext | undefined;
  /** For the gateway's own answers. */
  readonly reply: Reply;
  /** The memory that the request takes. */
  readonly held?: SharedBytes | undefined;
}

/** A condition that a request must meet before it is handled. What it throws is the answer. */
export type Need<R> = (request: R) => void;

/** How to handle a kind of request, and its conditions, in the order in which they are checked. */
export interface Handler<R> {
  readonly handle: (request: R) => Promise<void>;
  readonly needs?: readonly Need<R>[];
}

export function handleBy<R>({ handle, needs = [] }: Handler<R>, request: R): Promise<void> {
  for (const need of needs) need(request);
  return handle(request);
}

/** The caller owns tasks: its credential is there, and the server takes it. @throws the caller's `refusal` */
export const needsOwner: Need<Pick<Identified, "caller">> = ({ caller }) => {
  if (caller.refusal !== undefined) throw caller.refusal;
};

/** A gateway that stops begins nothing that takes time, nor does a removed server. @throws HTTP 503, or 410 */
export function needsTime({ stopping }: Pick<Services, "stopping">): Need<Pick<Identified, "route">> {
  return ({ route }) => {
    if (stopping.aborted) throw rpc.stopping();
    if (route.isRemoved) throw rpc.serverRemoved(route.config.name);
  };
}

/** Answers a modern request. What it throws is the answer: an `RpcError` as it is, anything else as -32603. */
export type Handle = Handler<Exchange>["handle"];

/** The server, if it speaks 2026-07-28 itself. Waits for one that may still be starting. Never rejects. */
export async function modernServer({ route, caller }: Pick<Identified, "route" | "caller">) {
  const { upstream } = route;
  const server = await upstream.modern(caller.headers);
  const starting = server === undefined ? upstream.starting(caller.headers) : undefined;
  if (starting === undefined) return server;
  await starting;
  return upstream.modern(caller.headers);
}

const GATEWAY: ServerInfo = { name: "mcp-taskgate", version: VERSION };

/** The fields of every result that identify the server that answers (2026-07-28, Overview §Per-response protocol fields). */
export function serverMeta({ upstream }: Route): JsonObject {
  return { [META.serverInfo]: serverInfo(upstream) };
}

/** The server's own identity, or the gateway's while the server has never been reached. */
export function serverInfo(upstream: Upstream): ServerInfo {
  return upstream.serverInfo ?? GATEWAY;
}

/** The headers that the server gets with this request, and with no other. */
export function ownHeaders({ headers, route }: Pick<Exchange, "headers" | "route">): SessionOwner["headers"] {
  return headers === undefined ? {} : requestHeaders(headers, route.config.upstream.forwardHeaders);
}

/** The task that a request is about. @throws -32602 */
export function taskIdOf({ params }: Pick<Exchange, "params">): string {
  const { taskId } = params;
  if (typeof taskId !== "string") throw rpc.invalidParams("taskId must be a string");
  return taskId;
}

/** The request that waits while the store is away, as the engine needs to know it. */
export function waiterOf({
  owner,
  params,
  reply,
}: Pick<Exchange, "owner" | "params"> & { readonly reply: Pick<Reply, "gone"> }): WaiterOf {
  return () => ({ caller: owner.caller, gone: reply.gone, bytes: toJson(params).length });
}

/** As `waiterOf`, for a request that may begin nothing once the gateway stops. */
export function beginnerOf(request: Parameters<typeof waiterOf>[0], stopping: AbortSignal): WaiterOf {
  const waiter = waiterOf(request);
  return () => ({ ...waiter(), stopping });
}

/** What the engine must know of the task that a call is to become. */
export function callTask(
  { owner, caller }: Pick<Exchange, "owner" | "caller">,
  tool: string,
  generation: Generation,
  { ttlMs, pollIntervalMs, maxPollIntervalMs, maxRuntimeMs }: TaskTerms,
): CallTask {
  return {
    tool,
    generation,
    terms: { ttlMs, pollIntervalMs, maxPollIntervalMs, maxRuntimeMs },
    ...owner,
    ...(caller.isIdentified ? { isListed: true } : {}),
  };
}
