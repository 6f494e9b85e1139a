import type { Call } from "../calls/call.ts";
import { makesTasks } from "../calls/policy.ts";
import { nextMoment } from "../calls/wait.ts";
import type { ToolPolicy } from "../config/config.ts";
import type { SharedBytes } from "../limits/bytes.ts";
import { isJsonRpcError, type RpcError, rpc } from "../protocol/errors.ts";
import {
  isObject,
  type JsonObject,
  progressTokenIn,
  type RequestId,
  saysObject,
  toJson,
} from "../protocol/jsonrpc.ts";
import type { Admission } from "../requests/admission.ts";
import { type TaskSupport, withTaskSupport } from "../requests/amended.ts";
import type { TaskMethod } from "../requests/classify.ts";
import { idempotencyKeyOf } from "../requests/idempotency.ts";
import {
  beginnerOf,
  type Caller,
  callTask,
  type Handler,
  handleBy,
  type Identified,
  needsOwner,
  needsTime,
  type Reply,
  type Route,
  taskIdOf,
  waiterOf,
} from "../requests/request.ts";
import { type CallAnswer, givingUp } from "../tasks/conduct.ts";
import type { CallTask } from "../tasks/engine.ts";
import type { WaiterOf } from "../tasks/store-wait.ts";
import type { StoredRequest } from "../upstream/modern/bridged-transport.ts";
import type { Lease } from "../upstream/sessions/pool.ts";
import type { SessionHolder } from "../upstream/sessions/session.ts";
import type { ClientSession } from "../upstream/upstream.ts";
import type { LegacyServices, SessionKey } from "./client-streams.ts";
import type { PlainCalls } from "./plain-calls.ts";
import { readQuestionId } from "./question-id.ts";
import { callInSession } from "./session-call.ts";
import { resultGetter } from "./task-result.ts";
import { legacyTask } from "./task-view.ts";

const IMMEDIATE_RESPONSE = "io.modelcontextprotocol/model-immediate-response";
const TASKS_IN_A_PAGE = 50;
/** A task that is gone as soon as it has ended is of no use. */
const MIN_TTL_MS = 1_000;

/** How to join a client's session at the server. */
interface Joiner {
  join(holder: SessionHolder): Lease;
  /** The session itself, if any gateway can join it. */
  readonly session?: ClientSession;
  /** What any gateway needs to make a call with these params, if the server has no sessions. Absent: none can without the session. */
  readonly stored?: (params: JsonObject) => StoredRequest | undefined;
}

/** A request in a legacy client's session, over any transport: all that its tasks need (2025-11-25, Tasks). */
export interface SessionRequest extends Identified {
  readonly id: RequestId;
  readonly params: JsonObject;
  /** The headers that belong to this request alone, where the session's own headers do not have them. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The memory that the request takes. Absent: it is not counted. */
  readonly held?: SharedBytes | undefined;
  readonly reply: Pick<Reply, "gone" | "room" | "result" | "notify" | "keepAlive" | "drop" | "counted"> & {
    /** Whether the client is connected now, if it may leave and come back. Absent: it is connected until `gone`. */
    readonly isConnected?: boolean;
  };
  /** `undefined` when the server has no sessions. */
  readonly session: SessionKey | undefined;
  /** Lets a call on the client's behalf join the session, and outlive the request. */
  joiner(): Joiner;
  /** Forwards the request to the server, however long the answer takes. */
  pass(): Promise<void>;
  /** As `pass`, for `tools/list`, whose answer `amend` changes. */
  passToolList(amend: (answer: string) => string): Promise<void>;
}

/** The tasks capability for a session (2025-11-25, Tasks §Server Capabilities). */
export function tasksCapability({ isIdentified }: Caller): JsonObject {
  return {
    // Only if the gateway tells callers apart may it list tasks that the caller does not name.
    ...(isIdentified ? { list: {} } : {}),
    cancel: {},
    requests: { tools: { call: {} } },
  };
}

/** Tasks of 2025-11-25, in a legacy client's session over any transport. */
export class Tasks2025 {
  /** The methods of the revision that the gateway answers, or takes part in, and what each needs. */
  readonly handlers: Readonly<Record<TaskMethod, Handler<SessionRequest>>>;
  readonly #services: LegacyServices;
  readonly #admission: Admission;
  /** Calls of clients that have not asked for a task. */
  readonly #plain: PlainCalls;
  readonly #asTask: Handler<SessionRequest>;

  constructor(services: LegacyServices, admission: Admission, plain: PlainCalls) {
    this.#services = services;
    this.#admission = admission;
    this.#plain = plain;
    const result = resultGetter(services, admission);
    this.#asTask = {
      handle: (request) => this.#callAsTask(request),
      needs: [needsTime(services), needsOwner],
    };
    this.handlers = {
      "tools/list": { handle: (request) => this.#listTools(request) },
      "tools/call": { handle: (request) => this.#callTool(request) },
      "tasks/get": { handle: (request) => this.#get(request), needs: [needsOwner] },
      "tasks/result": { handle: result, needs: [needsOwner] },
      // A caller that could log in must hear that, and not that there is no such method.
      "tasks/list": { handle: (request) => this.#list(request), needs: [needsOwner] },
      "tasks/cancel": { handle: (request) => this.#cancel(request), needs: [needsOwner] },
    };
  }

  /**
   * Whether a message is for a server with tasks of its own: the server keeps those, and the gateway adds none. Clients can still ask for
   * tasks that the gateway made for clients of another generation.
   * @param taskId the task that the message is about, if it is about one
   */
  async isLeftToServer(
    { route, owner, sessionOwner }: Identified,
    taskId: unknown,
    waiter: WaiterOf,
  ): Promise<boolean> {
    const { description } = route.upstream;
    if (description !== undefined && description.capabilities.tasks === undefined) return false;
    if (typeof taskId === "string") {
      if ((await this.#services.engine.find(taskId, owner, waiter)) !== undefined) return false;
    }
    return route.upstream.describe(sessionOwner).then(
      ({ capabilities }) => capabilities.tasks !== undefined,
      // The request itself is going to meet whatever keeps the server from answering.
      () => false,
    );
  }

  /**
   * Gives a client's answer to a question of a task's server to the task, from any session and on any replica. Returns whether it was one;
   * otherwise the answer is for the server.
   * @throws -32600 when it is neither a result nor an error
   */
  async takeAnswer(who: Identified, { id, result, error }: JsonObject, waiter: WaiterOf): Promise<boolean> {
    const question = readQuestionId(id);
    // A server with tasks may be a gateway like this one, and have asked under an id like ours.
    if (question === undefined || (await this.isLeftToServer(who, question.taskId, waiter))) return false;
    const answer = isObject(result) ? { result } : isJsonRpcError(error) ? { error } : undefined;
    if (answer === undefined) throw rpc.invalidRequest("an answer must have a result or an error");
    needsOwner(who);
    const { engine, clientStreams } = this.#services;
    clientStreams.answered(question.taskId, question.key, who.owner);
    // The client does not learn from it whether the task or the question still exists.
    await engine.respond(question.taskId, who.owner, question.key, answer, waiter);
    return true;
  }

  /** `tools/list`, with the policy's task support for each tool. */
  #listTools(request: SessionRequest): Promise<void> {
    const { route, session, params } = request;
    const fallback = this.#plain.listing(route, session, params);
    const supportOf = (tool: string): TaskSupport => {
      route.upstream.listed.note(tool);
      const support = taskSupport(route, tool);
      // Official clients refuse a plain call of a tool that requires a task.
      return support === "required" && this.#plain.mayDetach(request, tool) ? "optional" : support;
    };
    const amend = (answer: string) => withTaskSupport(answer, supportOf);
    return request.passToolList(fallback === undefined ? amend : (answer) => fallback(amend(answer)));
  }

  /** `tools/call`: a task if the client asks for one, otherwise the plain answer. */
  async #callTool(request: SessionRequest): Promise<void> {
    const { name, task } = request.params;
    if (task !== undefined) {
      this.#plain.noteForAll(request.route, request.session);
      return handleBy(this.#asTask, request);
    }
    const isRequired = typeof name === "string" && taskSupport(request.route, name) === "required";
    if (isRequired && !this.#plain.mayDetach(request, name)) throw rpc.taskRequired(name);
    return this.#plain.call(request);
  }

  /** `tools/call` with `task` (2025-11-25, Tasks §Creating Tasks). */
  async #callAsTask(request: SessionRequest): Promise<void> {
    const { route, params, reply } = request;
    const { name, task: wish, ...rest } = params;
    if (typeof name !== "string") throw rpc.invalidParams("name must be a string");
    if (rest.arguments !== undefined && !saysObject(rest.arguments))
      throw rpc.invalidParams("arguments must be an object");
    const policy = route.policy(name);
    if (!makesTasks(policy.mode)) throw rpc.taskForbidden(name);
    const terms = { ...policy, ttlMs: readTtl(wish, policy.ttlMs) };
    const answer = await this.#create(request, { name, ...rest }, terms);
    switch (answer.kind) {
      case "error":
        throw answer.error;
      case "handle": {
        const { task } = answer;
        const immediate = policy.immediateResponse;
        return reply.result(
          toJson({
            task: legacyTask(this.#admission.toFollow(request, { task }), task.updatedAt),
            ...(immediate === undefined ? {} : { _meta: { [IMMEDIATE_RESPONSE]: immediate } }),
          }),
          true,
        );
      }
    }
  }

  /**
   * Makes the call in the client's own session, under an id of ours. The record comes first, so that no call begins that cannot be kept.
   * An early refusal of the server, also one for want of credentials, reaches the client as the server put it.
   */
  async #create(
    request: SessionRequest,
    params: JsonObject & { readonly name: string },
    policy: ToolPolicy,
  ): Promise<Extract<CallAnswer, { kind: "error" | "handle" }>> {
    const { engine, clientStreams, stopping, newCall } = this.#services;
    const { route, owner, session } = request;
    const call = await callInSession(request, params, policy, { admission: this.#admission, newCall });
    call.listen({ onEnd: this.#admission.takeTask(request) });
    const record = await engine
      .createTask(
        call,
        this.#taskOf(request, params.name, policy),
        policy.maxResultBytes,
        beginnerOf(request, stopping),
      )
      .catch(givingUp(call));
    if (engine.callOf(record.id) !== call) {
      call.cancel("the same call has been made already");
      return { kind: "handle", task: record };
    }
    const progressToken = progressTokenIn(params);
    const { heartbeatMs } = policy;
    clientStreams.follow(record.id, owner, { call, session, progressToken, heartbeatMs });
    // No server refuses a call while it waits for its turn, and that can be long.
    const canBeRefused = policy.mode !== "always" && !route.slots.isFull(owner.caller);
    call.start();
    if (call.end?.kind === "ours") return { kind: "error", error: call.end.error };
    if (canBeRefused) await nextMoment(call, { windowMs: policy.waitForMs, untilAccepted: true });
    const error = canBeRefused ? refusalIn(call) : undefined;
    if (error !== undefined) return { kind: "error", error };
    return {
      kind: "handle",
      task: call.state === "queued" ? record : { ...record, statusMessage: "running" },
    };
  }

  #taskOf(request: SessionRequest, tool: string, policy: ToolPolicy): CallTask {
    const task = callTask(request, tool, "2025-11-25", policy);
    const repeatable = idempotencyKeyOf({ ...request, headers: undefined });
    if (repeatable === undefined) return task;
    const { key, fingerprint } = repeatable;
    return { ...task, id: this.#services.fallback.newTask(request, tool, key).id, fingerprint };
  }

  /** `tasks/get` (Tasks §Getting Tasks). */
  async #get(request: SessionRequest): Promise<void> {
    const { engine, drain } = this.#services;
    const view = await this.#admission.polled(request);
    engine.report({ kind: "read", task: view.task, method: "tasks/get" });
    request.reply.result(toJson(legacyTask(view, engine.now())));
    // The client comes back at once, for the result.
    const { task, outcome } = view;
    if (outcome !== undefined) drain.told(task.id, task.terms.pollIntervalMs);
  }

  /** `tasks/list`: only if the gateway tells callers apart (Tasks §Listing Tasks, §Task Isolation and Access Control). */
  async #list(request: SessionRequest): Promise<void> {
    const { engine } = this.#services;
    const { caller, owner, params, reply } = request;
    if (!caller.isIdentified) throw rpc.tasksNotListed();
    const { cursor } = params;
    if (cursor !== undefined && typeof cursor !== "string")
      throw rpc.invalidParams("cursor must be a string");
    const asked = { limit: TASKS_IN_A_PAGE, ...(cursor === undefined ? {} : { cursor }) };
    const page = await engine.list(owner, asked, waiterOf(request));
    if (page === undefined) throw rpc.invalidParams("cursor is none that tasks/list gave");
    const { tasks, nextCursor } = page;
    const now = engine.now();
    reply.result(
      toJson({
        tasks: tasks.map((view) => legacyTask(view, now)),
        ...(nextCursor === undefined ? {} : { nextCursor }),
      }),
    );
  }

  /** `tasks/cancel`: answered when it has cancelled the task, refused when the task had ended (Tasks §Task Cancellation). */
  async #cancel(request: SessionRequest): Promise<void> {
    const { engine } = this.#services;
    const { view, hasEnded } = await engine.cancel(taskIdOf(request), request.owner, waiterOf(request));
    const task = legacyTask(view, engine.now());
    if (!hasEnded) throw rpc.taskIsOver(task.status);
    request.reply.result(toJson(task));
  }
}

/** How clients may call a tool under the policy (Tasks §Tool-Level Negotiation). */
function taskSupport({ policy }: Route, tool: string): TaskSupport {
  switch (policy(tool).mode) {
    case "never":
    case "observe":
      return "forbidden";
    case "required":
      return "required";
    case "auto":
    case "always":
      return "optional";
  }
}

/**
 * How long to keep a task, in milliseconds: as long as the client wishes, within what the policy grants (Tasks §TTL and Resource
 * Management). The answer tells the client the result.
 */
function readTtl(task: unknown, grantedMs: number): number {
  if (!isObject(task)) throw rpc.invalidParams("task must be an object");
  const { ttl } = task;
  if (ttl === undefined || ttl === null) return grantedMs;
  if (typeof ttl !== "number" || ttl < 0)
    throw rpc.invalidParams("task.ttl must be a number of milliseconds, 0 or more");
  return Math.min(Math.max(Math.ceil(ttl), MIN_TTL_MS), grantedMs);
}

function refusalIn({ end }: Call): RpcError | undefined {
  if (end?.kind !== "ours" || end.failure === undefined) return undefined;
  const { message, facts } = end.failure;
  return facts.status !== undefined && facts.status < 500 ? rpc.refused(message, facts) : undefined;
}
