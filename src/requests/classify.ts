import type { IncomingHttpHeaders } from "node:http";
import { makesTasks, type Policy } from "../calls/policy.ts";
import { RpcError, rpc } from "../protocol/errors.ts";
import { checkAcceptable, checkContentType, readAccept } from "../protocol/headers.ts";
import { claimsModern, type Inbound, readMessage } from "../protocol/inbound.ts";
import { isObject, isRequestId, type JsonObject } from "../protocol/jsonrpc.ts";
import { declaresTasks, META } from "../protocol/modern.ts";
import { isOurState } from "../tasks/awaiting-input.ts";
import { sessionIdOf, speaksTasks } from "./client-session.ts";

/** The parts of an HTTP request that decide who answers it: some of `node:http`'s, and where it goes. */
export interface Head {
  readonly method?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  /** As the client sent it, query included. */
  readonly url: string;
  /** The path at the server, query included, when it is not the endpoint. */
  readonly elsewhere?: string | undefined;
}

/** The parsed body; `fault`: why it is no JSON. Absent when there is no body. */
export type Message = { readonly json: unknown; readonly fault?: string } | undefined;

/** What the gateway knows of the server. */
export interface Known {
  /** Whether the gateway reaches it over HTTP. */
  readonly isHttp: boolean;
  /** Whether requests of legacy Streamable HTTP clients can be forwarded to it as they are. */
  readonly isStreamable: boolean;
  /** Whether the request's session is paired with one at the server. */
  readonly isPaired: boolean;
  /** Whether clients of HTTP+SSE get paired sessions, in place of the server's own stream. Absent: no. */
  readonly opensStreams?: boolean;
  /** Whether it wants messages of HTTP+SSE posted to the request's path. */
  readonly takesMessages: boolean;
  /** Present if it speaks 2026-07-28. The caller need find that out only for a request that `isModern`. */
  readonly modern?: { readonly hasTasks: boolean } | undefined;
  readonly policy: Policy;
  /** Whether a name is that of a tool of the gateway's own. Absent: it has none. */
  isOwnTool?(name: unknown): boolean;
}

/** Keeps a request from a modern server if it is the gateway's, which only the store can tell. */
export type Subject = { readonly requestState: string } | { readonly taskIds: readonly string[] };

/** Kinds of requests of older revisions. `call` may have no id; `tasks` is the gateway's, unless the server has tasks of its own. */
export type LegacyForm = "stream" | "answer" | "cancellation" | "initialize" | "call" | "tasks" | "other";

/** Who answers a request. */
export type Class =
  | { readonly is: "preflight" }
  | { readonly is: "refused"; readonly error: RpcError }
  | { readonly is: "otherPath"; readonly isMessage: boolean }
  | ModernClass
  /** Malformed: the server refuses it. */
  | { readonly is: "passThrough"; readonly request?: never }
  | { readonly is: "paired" }
  | { readonly is: "legacy"; readonly as: LegacyForm };

export type ModernClass =
  | { readonly is: "modern"; readonly request: Inbound }
  | { readonly is: "passThrough"; readonly request: Inbound; readonly unlessOurs?: Subject };

/** Decides who answers a request over HTTP, whose method the caller has checked. */
export function classify(head: Head, message: Message, known: Known): Class {
  if (isPreflight(head)) return { is: "preflight" };
  if (head.elsewhere !== undefined) return { is: "otherPath", isMessage: known.takesMessages };
  if (isModern(head, message)) return modernOrRefused(head, message, known);
  if (!isOfAPair(head, message, known)) return { is: "legacy", as: legacyForm(head, message) };
  const fault = message?.fault;
  return fault === undefined ? { is: "paired" } : { is: "refused", error: rpc.parseError(fault) };
}

/** Whether a request is of 2026-07-28: its client says so in a header, or in the message's `_meta`. */
export function isModern(head: Head, message: Message): boolean {
  return saysModern(head) || (head.elsewhere === undefined && claimsModern(message?.json));
}

/** Whether a header says that a request is modern: modern clients say so in every request, legacy clients in none. */
export function saysModern({ headers, elsewhere }: Head): boolean {
  const version = headers["mcp-protocol-version"];
  return (
    elsewhere === undefined && version !== undefined && (typeof version !== "string" || version >= "2026")
  );
}

/**
 * Whether a request is a browser's preflight and nothing else. A browser sends no credentials with it (Fetch, §CORS protocol and
 * credentials), and no body.
 */
export function isPreflight({ method, headers }: Pick<Head, "method" | "headers">): boolean {
  return (
    method === "OPTIONS" &&
    headers.origin !== undefined &&
    headers["access-control-request-method"] !== undefined &&
    headers["transfer-encoding"] === undefined &&
    (headers["content-length"] ?? "0") === "0"
  );
}

/**
 * Whether a request, by its head, may be an `initialize` to forward: it is in no session, and its server is reached over HTTP. The gateway
 * judges every other request by its head alone.
 */
export function mayOpenSession(head: Head, { isHttp }: Pick<Known, "isHttp">): boolean {
  const { method, elsewhere } = head;
  const isLegacy = elsewhere === undefined && !saysModern(head);
  return isLegacy && method === "POST" && isHttp && sessionIdOf(head) === undefined;
}

/** Checks a modern request's head, unless the server speaks the revision and refuses it itself. @throws 405, 406, 415 */
export function checkHead({ method = "", headers }: Head): void {
  if (method !== "POST") throw rpc.methodNotAllowed(method);
  checkAcceptable(headers.accept);
  checkContentType(headers["content-type"]);
}

/** Decides who answers a modern request: a server of the revision, except for what concerns tasks. */
export function classifyModern(
  request: Inbound,
  known: Pick<Known, "modern" | "policy" | "isOwnTool">,
): ModernClass {
  const { modern, policy } = known;
  const ours: ModernClass = { is: "modern", request };
  if (modern === undefined || request.id === undefined) return ours;
  const passed: ModernClass = { is: "passThrough", request };
  const unless = (unlessOurs: Subject): ModernClass =>
    modern.hasTasks ? { is: "passThrough", request, unlessOurs } : ours;
  const { method, params = {} } = request;
  const { requestState, taskId, notifications } = params;
  switch (method) {
    case "tools/call":
    case "prompts/get":
    case "resources/read":
      // A server with tasks may be a gateway like this one, with states that look like ours.
      if (isOurState(requestState)) return unless({ requestState });
      // The gateway makes no tasks for a server that makes its own, which makes none for a client that does not know them.
      return method === "tools/call" &&
        (known.isOwnTool?.(params.name) || mayBecomeTask(params, policy, modern.hasTasks))
        ? ours
        : passed;
    case "tasks/get":
    case "tasks/update":
    case "tasks/cancel":
      return unless({ taskIds: idsIn([taskId]) });
    case "subscriptions/listen": {
      const taskIds = isObject(notifications) ? notifications.taskIds : undefined;
      return taskIds === undefined ? passed : unless({ taskIds: idsIn(taskIds) });
    }
    default:
      return passed;
  }
}

function modernOrRefused(head: Head, message: Message, known: Known): Class {
  try {
    checkHead(head);
    if (message === undefined || message.fault !== undefined)
      throw rpc.parseError(message?.fault ?? "there is no body");
    const request = readMessage(message.json);
    if (known.modern !== undefined && request.id === undefined) return { is: "passThrough" };
    return classifyModern(request, known);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    return known.modern === undefined ? { is: "refused", error } : { is: "passThrough" };
  }
}

/** How many resources, or tasks, one subscription may name. */
export const MAX_SUBJECTS = 1_000;

/** None if there are more than a subscription may name, or no list at all: the server may refuse that. */
function idsIn(taskIds: unknown): readonly string[] {
  if (!Array.isArray(taskIds) || taskIds.length > MAX_SUBJECTS) return [];
  return taskIds.filter((id) => typeof id === "string");
}

/** Whether the policy would make the call a task, or refuse it because it cannot be one. */
function mayBecomeTask({ name, _meta }: JsonObject, policy: Policy, hasTasks: boolean): boolean {
  if (typeof name !== "string") return false;
  const { mode, fallback } = policy(name);
  const declared = isObject(_meta) ? _meta[META.clientCapabilities] : undefined;
  const knowsTasks = declaresTasks(isObject(declared) ? declared : {});
  if (!knowsTasks && fallback !== undefined && makesTasks(mode)) return true;
  return !hasTasks && (mode === "required" || (makesTasks(mode) && knowsTasks));
}

/** Whether a request is of a paired session. HTTP+SSE on both sides needs none: the client opens a stream, and posts where told. */
function isOfAPair(head: Head, message: Message, known: Known): boolean {
  const { isHttp, isPaired, isStreamable, opensStreams = false } = known;
  if (!isHttp || isPaired) return true;
  if (isStreamable) return false;
  const isListening = head.method === "GET" && readAccept(head.headers.accept).stream;
  if (opensStreams && isListening) return true;
  const opens = isObject(message?.json) && message.json.method === "initialize" && !head.url.includes("?");
  return opens || sessionIdOf(head) !== undefined;
}

/** The methods of 2025-11-25 that concern tasks. */
const TASK_METHODS = [
  "tools/list",
  "tools/call",
  "tasks/get",
  "tasks/result",
  "tasks/list",
  "tasks/cancel",
] as const;
export type TaskMethod = (typeof TASK_METHODS)[number];

export function isTaskMethod(method: unknown): method is TaskMethod {
  return (TASK_METHODS as readonly unknown[]).includes(method);
}

function legacyForm(head: Head, message: Message): LegacyForm {
  if (head.method === "GET") return "stream";
  // Batches of 2025-03-26 are arrays, and older than any task.
  if (head.method !== "POST" || !isObject(message?.json)) return "other";
  const { method, id } = message.json;
  if (method === undefined) return "answer";
  if (method === "notifications/cancelled") return "cancellation";
  if (!isRequestId(id)) return method === "tools/call" ? "call" : "other";
  if (method === "initialize") return "initialize";
  if (speaksTasks(head) && isTaskMethod(method)) return "tasks";
  return method === "tools/call" ? "call" : "other";
}
