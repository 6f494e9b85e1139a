import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";
import type { HttpUpstreamConfig, ServerConfig } from "../config/config.ts";
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
import type { SharedBytes } from "../quotas/bytes.ts";
import type { Party } from "../quotas/counter.ts";
import type { Quotas } from "../quotas/quotas.ts";
import type { TaskTerms } from "../stores/task-store.ts";
import type { Drain } from "../tasks/drain.ts";
import type { CallTask, Claimant, TaskEngine } from "../tasks/engine.ts";
import type { HeldCalls } from "../tasks/held.ts";
import type { PollPace } from "../tasks/pace.ts";
import type { Policy } from "../tasks/policy.ts";
import type { Slots } from "../tasks/slots.ts";
import type { WaiterOf } from "../tasks/store-wait.ts";
import type { ModernServer } from "../upstreams/modern-server.ts";
import type { SessionOwner, Upstream } from "../upstreams/upstream.ts";
import { VERSION } from "../version.ts";
import type { Backchannels } from "./backchannels.ts";
import type { OpenStreams } from "./open-streams.ts";
import type { TransparentLane } from "./transparent.ts";

/** Who is calling, as far as tasks and sessions are concerned. */
export interface Caller {
  /** Names the owner of tasks. */
  readonly key: string;
  /** Whether callers are told apart at all: only then may tasks be listed. Absent: no. */
  readonly isIdentified?: boolean;
  /** Headers of the caller's own that the server is to see, in whatever lane. Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Headers that are for the gateway alone, also where all others are forwarded. Names in lower case. */
  readonly withheld?: readonly string[];
  /** Why no task is the caller's: its credential is missing, or the server does not take it. Absent: its own are. */
  readonly refusal?: RpcError;
  /**
   * Asks the server what it makes of the credential, and gives the caller as it then is. Absent: there is nothing to ask, or it
   * was asked a while ago. Never rejects.
   */
  readonly confirm?: () => Promise<Caller>;
}

/** One server as the gateway offers it. */
export interface Route {
  readonly config: ServerConfig;
  readonly upstream: Upstream;
  readonly policy: Policy;
  readonly slots: Slots;
  readonly log: Logger;
}

/** What all routes share. */
export interface Services {
  readonly engine: TaskEngine;
  readonly held: HeldCalls;
  readonly transparent: TransparentLane;
  readonly backchannels: Backchannels;
  readonly streams: OpenStreams;
  readonly quotas: Quotas;
  readonly pace: PollPace;
  readonly drain: Drain;
  /** Aborted when the gateway is about to stop: streams that never end by themselves end now. */
  readonly stopping: AbortSignal;
}

/** Who asks, and where: known at the door, and the same for everything that a request does. */
export interface Identified {
  readonly route: Route;
  readonly caller: Caller;
  /** Whose its tasks are. A caller with a `refusal` owns none: `needsOwner`. */
  readonly owner: Claimant;
  /** By what its use of limits is counted. */
  readonly quotaKey: Party;
  /** Whose sessions with the server are used; with the capabilities that the request declares. */
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
  readonly gone: AbortSignal;
  /** The answer. What comes after it is ignored. */
  result(result: JsonText): void;
  /** Something before the answer. Says whether it was sent: a client that cannot read streams, or does not, gets none. */
  notify(message: JsonRpcNotification | JsonText): boolean;
  /** Takes a notification, or an answer: there is nothing to say to it. */
  acknowledge(): void;
  /** Ends the exchange without an answer: the client does not want it any longer. */
  drop(): void;
  /** Opens the stream at once. @throws HTTP 406 when the client reads none */
  open(): void;
  /** From now on sends comments when it is quiet, so that nothing on the way gives up on the connection. */
  keepAlive(): void;
  /** Resolves when a client that reads slowly has caught up. */
  drained(): Promise<void>;
}

/** A modern request whose headers and envelope have been checked. */
export interface Exchange extends Identified {
  /** Undefined where the transport has none, as stdio: then there is nothing to check. */
  readonly headers: Headers | undefined;
  readonly id: RequestId;
  readonly method: string;
  readonly params: JsonObject;
  readonly envelope: Envelope;
  readonly reply: Reply;
  /** The request as it came over HTTP, to be forwarded; undefined where it came otherwise. */
  readonly http?: HttpExchange | undefined;
  /** The memory that the request takes. Absent: it is counted nowhere. */
  readonly held?: SharedBytes | undefined;
  /** The server, if it speaks 2026-07-28 itself: then the gateway has a part in tasks only. */
  readonly server?: ModernServer | undefined;
}

/** The same before anything was checked. */
export type Asked = Omit<Exchange, "envelope">;

/** A request over HTTP as it came, to be forwarded as such: nothing of it has been checked. */
export interface HttpExchange extends Identified {
  /** Where its server is. */
  readonly server: HttpUpstreamConfig;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The path by which the client knows the route, and the query behind it, question mark included. */
  readonly path: string;
  readonly query: string;
  /** The path below which the client finds everything that the server has. */
  readonly mount: string;
  /** As it came; absent where the verb has none. */
  readonly body: Buffer | undefined;
  /** What the body says, if it is JSON. */
  readonly message: unknown;
  /** For what the gateway answers itself. */
  readonly reply: Reply;
  /** The memory that the request takes. */
  readonly held?: SharedBytes | undefined;
}

/** Something that has to be so before a request is handled. What it throws is the answer. */
export type Need<R> = (request: R) => void;

/** How a kind of request is handled, and what it needs, in this order. */
export interface Handler<R> {
  readonly handle: (request: R) => Promise<void>;
  readonly needs?: readonly Need<R>[];
}

export function handleBy<R>({ handle, needs = [] }: Handler<R>, request: R): Promise<void> {
  for (const need of needs) need(request);
  return handle(request);
}

/** Its tasks are the caller's: the credential is there, and the server takes it. @throws the caller's `refusal` */
export const needsOwner: Need<Pick<Identified, "caller">> = ({ caller }) => {
  if (caller.refusal !== undefined) throw caller.refusal;
};

/** Nothing that takes its time is begun by a gateway that stops. @throws HTTP 503 */
export function needsTime({ stopping }: Pick<Services, "stopping">): Need<unknown> {
  return () => {
    if (stopping.aborted) throw rpc.stopping();
  };
}

/** Answers a modern request. What it throws is the answer: an `RpcError` as it is, anything else as -32603. */
export type Handle = Handler<Exchange>["handle"];

const GATEWAY: ServerInfo = { name: "mcp-taskgate", version: VERSION };

/** The fields that identify whoever answers, in every result (2026-07-28, Overview §Per-response protocol fields). */
export function serverMeta({ upstream }: Route): JsonObject {
  return { [META.serverInfo]: serverInfo(upstream) };
}

/** The server's own identity; the gateway's only while the server has never been reached. */
export function serverInfo(upstream: Upstream): ServerInfo {
  return upstream.serverInfo ?? GATEWAY;
}

/** The headers that go along with this request to the server, and with no other. */
export function ownHeaders({ headers, route }: Pick<Exchange, "headers" | "route">): SessionOwner["headers"] {
  return headers === undefined ? {} : requestHeaders(headers, route.config.upstream.forwardHeaders);
}

/** The task that a request is about. @throws -32602 */
export function taskIdOf({ params }: Pick<Exchange, "params">): string {
  const { taskId } = params;
  if (typeof taskId !== "string") throw rpc.invalidParams("taskId must be a string");
  return taskId;
}

/** Who waits when the store is away: what the engine is asked for on behalf of a request. */
export function waiterOf({
  owner,
  params,
  reply,
}: Pick<Exchange, "owner" | "params"> & { readonly reply: Pick<Reply, "gone"> }): WaiterOf {
  return () => ({ caller: owner.caller, gone: reply.gone, bytes: toJson(params).length });
}

/** The same where nothing may begin any more once the gateway stops. */
export function beginnerOf(request: Parameters<typeof waiterOf>[0], stopping: AbortSignal): WaiterOf {
  const waiter = waiterOf(request);
  return () => ({ ...waiter(), stopping });
}

/** What is known of the task that a call is to become. */
export function callTask(
  { owner, caller }: Pick<Exchange, "owner" | "caller">,
  tool: string,
  { ttlMs, pollIntervalMs, maxPollIntervalMs, maxRuntimeMs }: TaskTerms,
): CallTask {
  return {
    ...owner,
    tool,
    terms: { ttlMs, pollIntervalMs, maxPollIntervalMs, maxRuntimeMs },
    ...(caller.isIdentified ? { isListed: true } : {}),
  };
}
