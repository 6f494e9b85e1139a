import { setTimeout as sleep } from "node:timers/promises";
import { createLog } from "../log/log.ts";
import {
  isObject,
  isSameId,
  type JsonObject,
  type JsonRpcError,
  type JsonRpcNotification,
  toJson,
} from "../protocol/jsonrpc.ts";
import { envelopeOf, type ProgramInfo, TASKS_EXTENSION } from "../protocol/modern.ts";
import { IDEMPOTENCY_META } from "../protocol/request-headers.ts";
import { isOfAbsent, toFailure } from "../upstream/failure.ts";
import {
  type ModernDescription,
  type ProbeOptions,
  type ProbeResult,
  probe,
} from "../upstream/modern/probe.ts";
import { ModernServer } from "../upstream/modern/server.ts";
import { nextRequestId } from "../upstream/request-ids.ts";
import { type UpstreamAgents, upstreamAgents } from "../upstream/transports/agents.ts";
import { VERSION } from "../version.ts";

/** What the server asks the user while a call runs: `elicitation/create` (2026-07-28, Elicitation). */
export interface Question {
  readonly method: string;
  readonly params: JsonObject;
}

export interface TaskSessionOptions {
  /** Sent with every request, such as `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How the program introduces itself to the server. */
  readonly clientInfo?: ProgramInfo;
  /**
   * Answers a question with a result such as `{ action: "accept", content: { name: "Ada" } }`. Absent: the server is told that there is nobody
   * to ask. The signal is that of the call.
   */
  readonly onQuestion?: (question: Question, signal: AbortSignal) => Promise<JsonObject> | JsonObject;
  /** Aborting it gives up opening the session. */
  readonly signal?: AbortSignal;
}

/** How far a call is, in the server's words; numbers while it is no task yet. */
export interface CallProgress {
  readonly message?: string;
  readonly progress?: number;
  readonly total?: number;
}

export interface TaskCallOptions {
  readonly onProgress?: (progress: CallProgress) => void;
  /** Called once if the call becomes a task: whoever keeps the id can `follow` it from another process. */
  readonly onTask?: (taskId: string) => void;
  /**
   * Names this call at a gateway, wherever it is sent from: an answer that gets lost is asked for again, here or in another process, and the
   * tool runs once. Other servers ignore it: give none there. Absent: a lost answer is a `CallFailed`.
   */
  readonly idempotencyKey?: string;
  /** Aborting it cancels the task at the server, or the call, unless that has an idempotency key. */
  readonly signal?: AbortSignal;
}

/** The result of a tool: `isError` says that the tool failed. */
export interface ToolResult extends JsonObject {
  readonly content?: readonly JsonObject[];
  readonly structuredContent?: unknown;
  readonly isError?: boolean;
}

/** Calls the tools of one server of 2026-07-28, such as a gateway; whether a call becomes a task makes no difference. */
export interface TaskSession {
  /** The server's name and version, if it gives them. */
  readonly serverInfo: JsonObject | undefined;
  readonly instructions: string | undefined;
  /** Whether the server has the Tasks extension. */
  readonly hasTasks: boolean;
  /** @throws CallFailed */
  listTools(): Promise<readonly JsonObject[]>;
  /** Calls a tool and waits for its result, however long it takes. @throws CallFailed, and the signal's reason */
  call(tool: string, args?: JsonObject, options?: TaskCallOptions): Promise<ToolResult>;
  /** Waits for the result of a task that was begun before. @throws CallFailed, and the signal's reason */
  follow(taskId: string, options?: TaskCallOptions): Promise<ToolResult>;
  close(): Promise<void>;
}

/** Why there is no result: `server` if the server said so, with its error; `unreachable` if it said nothing that can be used. */
export class CallFailed extends Error {
  override name = "CallFailed";
  readonly kind: "server" | "unreachable";
  /** The server's error. */
  readonly error: JsonRpcError | undefined;

  constructor(message: string, kind: CallFailed["kind"], error?: JsonRpcError) {
    super(message);
    this.kind = kind;
    this.error = error;
  }
}

/** How often a call may be sent again with answers before it is given up. */
const MAX_ROUNDS = 100;
const MAX_PAGES = 100;
/** The time between two polls if the server does not say, and between rounds in which it asks nothing. */
const POLL_MS = 1_000;
const POLL = { min: 20, max: 60_000 } as const;
/** How long a server that gives no answer is polled on: it may be restarting, and the task is still there then. */
const PATIENCE_MS = 120_000;
const MAX_MESSAGE_BYTES = 100_000_000;

/** How long a server may take to say what it is: a gateway may have to start the one behind it. */
const OPENING_MS = 60_000;
const INTERNAL_ERROR = -32603;

/** Opens a session with a server. @throws CallFailed when there is none of 2026-07-28, and the signal's reason */
export async function taskSession(
  address: string | URL,
  {
    headers = {},
    clientInfo = { name: "mcp-taskgate-call", version: VERSION },
    onQuestion,
    signal = NEVER,
  }: TaskSessionOptions = {},
): Promise<TaskSession> {
  const url = new URL(address);
  const agents = upstreamAgents();
  try {
    const description = await described({ url, headers, dispatcher: agents.next(), clientInfo, signal });
    return new HttpTaskSession({ url, headers, clientInfo, onQuestion, description, agents });
  } catch (error) {
    await agents.destroy();
    throw error;
  }
}

/** What a server of 2026-07-28 says of itself, once it is there. @throws CallFailed, and the signal's reason */
async function described(
  options: ProbeOptions & { readonly signal: AbortSignal },
): Promise<ModernDescription> {
  const { signal } = options;
  const deadline = performance.now() + OPENING_MS;
  for (;;) {
    const timeoutMs = Math.max(1, Math.ceil(deadline - performance.now()));
    const result = await probe({ ...options, timeoutMs });
    signal.throwIfAborted();
    if (result.era === "modern") return result.description;
    const why = whyUnusable(result);
    const isStarting = result.era === "unknown" && isOfAbsent(result.failure.facts.status);
    if (!(isStarting || isRetryable(why)) || performance.now() + POLL_MS >= deadline) throw why;
    await sleep(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

function whyUnusable(result: Exclude<ProbeResult, { readonly era: "modern" }>): CallFailed {
  if (result.era === "unknown") return new CallFailed(result.failure.message, "unreachable");
  // Nothing about the era: the server, or the one behind it, is in trouble.
  if (result.era === "legacy" && result.refusal?.code === INTERNAL_ERROR)
    return new CallFailed(result.refusal.message, "server", result.refusal);
  const what = "The server does not speak MCP 2026-07-28; in front of it, mcp-taskgate URL does";
  return new CallFailed(what, "unreachable");
}

interface HttpTaskSessionOptions extends Required<Pick<TaskSessionOptions, "headers" | "clientInfo">> {
  readonly url: URL;
  readonly onQuestion: TaskSessionOptions["onQuestion"];
  readonly description: ModernDescription;
  readonly agents: UpstreamAgents;
}

const NOBODY = { caller: "", headers: {} } as const;

class HttpTaskSession implements TaskSession {
  readonly #options: HttpTaskSessionOptions;
  readonly #server: ModernServer;
  readonly #capabilities: JsonObject;

  constructor(options: HttpTaskSessionOptions) {
    const { url, headers, clientInfo, onQuestion, description, agents } = options;
    this.#options = options;
    this.#capabilities = {
      ...(onQuestion === undefined ? {} : { elicitation: { form: {}, url: {} } }),
      extensions: { [TASKS_EXTENSION]: {} },
    };
    this.#server = new ModernServer({
      url,
      headers,
      agents,
      clientInfo,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      description: () => description,
      onUnexpectedEra: () => {},
      log: createLog("silent"),
    });
  }

  get serverInfo(): JsonObject | undefined {
    return this.#server.serverInfo;
  }

  get instructions(): string | undefined {
    return this.#options.description.instructions;
  }

  get hasTasks(): boolean {
    return this.#server.hasTasks;
  }

  async listTools(): Promise<readonly JsonObject[]> {
    const tools: JsonObject[] = [];
    let cursor: unknown;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const listed = await this.#ask("tools/list", cursor === undefined ? {} : { cursor });
      if (Array.isArray(listed.tools)) tools.push(...listed.tools.filter(isObject));
      cursor = listed.nextCursor;
      if (cursor === undefined) return tools;
    }
    throw new CallFailed(`The server's list of tools has more than ${MAX_PAGES} pages`, "server");
  }

  async call(tool: string, args: JsonObject = {}, options: TaskCallOptions = {}): Promise<ToolResult> {
    const { signal = NEVER, onTask, idempotencyKey } = options;
    const request = { name: tool, arguments: args };
    let round: JsonObject = request;
    for (let count = 0; count < MAX_ROUNDS; count += 1) {
      const isRepeatable = idempotencyKey !== undefined && round === request;
      const result = isRepeatable
        ? await this.#insist("tools/call", round, options)
        : await this.#ask("tools/call", round, options);
      switch (result.resultType) {
        case "input_required": {
          const { requestState } = result;
          const state = requestState === undefined ? {} : { requestState };
          round = { ...request, inputResponses: await this.#answers(result.inputRequests, signal), ...state };
          break;
        }
        case "task":
          onTask?.(String(result.taskId));
          return this.#follow(result, options);
        default:
          return result;
      }
    }
    throw new CallFailed(`The server asked in more than ${MAX_ROUNDS} rounds`, "server");
  }

  async follow(taskId: string, options: TaskCallOptions = {}): Promise<ToolResult> {
    return this.#follow(
      await this.#insist("tasks/get", { taskId }, { signal: options.signal ?? NEVER }),
      options,
    );
  }

  async close(): Promise<void> {
    this.#server.close();
    await this.#options.agents.destroy();
  }

  async #follow(first: JsonObject, { signal = NEVER, onProgress }: TaskCallOptions): Promise<ToolResult> {
    const taskId = String(first.taskId);
    const answered = new Set<string>();
    let task = first;
    let said: unknown;
    try {
      for (;;) {
        const { status, statusMessage, result, error, inputRequests } = task;
        if (typeof statusMessage === "string" && statusMessage !== said)
          onProgress?.({ message: statusMessage });
        said = statusMessage;
        if (status === "completed") return isObject(result) ? result : {};
        if (status === "failed" || status === "cancelled")
          throw failed(statusMessage ?? `The task was ${status}`, error);
        const open = isObject(inputRequests)
          ? Object.entries(inputRequests).filter(([key]) => !answered.has(key))
          : [];
        if (open.length > 0) {
          const inputResponses = await this.#answers(Object.fromEntries(open), signal);
          for (const [key] of open) answered.add(key);
          // An answer that came already is ignored: a key names one question for ever.
          await this.#insist("tasks/update", { taskId, inputResponses }, { signal });
        }
        await sleep(pollMs(task), undefined, { signal });
        task = await this.#insist("tasks/get", { taskId }, { signal });
      }
    } catch (caught) {
      if (!signal.aborted) throw caught;
      // The task is durable: it would go on.
      await this.#ask("tasks/cancel", { taskId }).catch(() => {});
      throw signal.reason;
    }
  }

  /** Asks until there is an answer: a server that restarts has its tasks still. */
  async #insist(method: string, params: JsonObject, options: TaskCallOptions): Promise<JsonObject> {
    const { signal = NEVER } = options;
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        return await this.#ask(method, params, options);
      } catch (error) {
        if (signal.aborted || !mayPass(error) || performance.now() >= deadline) throw error;
        await sleep(POLL_MS, undefined, { signal });
      }
    }
  }

  /** By the keys of the questions. */
  async #answers(questions: unknown, signal: AbortSignal): Promise<JsonObject> {
    const { onQuestion } = this.#options;
    const answers: [string, unknown][] = [];
    // One after the other: there is one user.
    for (const [key, question] of Object.entries(isObject(questions) ? questions : {})) {
      const { method, params } = isObject(question) ? question : {};
      const asked = { method: String(method), params: isObject(params) ? params : {} };
      if (onQuestion === undefined)
        throw new CallFailed(`The server asks for ${asked.method}, and nobody answers`, "server");
      answers.push([key, await onQuestion(asked, signal)]);
    }
    if (answers.length === 0) await sleep(POLL_MS, undefined, { signal });
    return Object.fromEntries(answers);
  }

  /** The result of a request. @throws CallFailed, and the signal's reason */
  async #ask(
    method: string,
    params: JsonObject,
    { signal = NEVER, onProgress, idempotencyKey }: TaskCallOptions = {},
  ): Promise<JsonObject> {
    const { clientInfo } = this.#options;
    const id = nextRequestId();
    const key = idempotencyKey === undefined ? {} : { [IDEMPOTENCY_META]: idempotencyKey };
    const _meta = { ...envelopeOf(clientInfo, this.#capabilities), progressToken: id, ...key };
    const onNotification = ({ method: what, params: said = {} }: JsonRpcNotification) => {
      const isOurs = what === "notifications/progress" && isSameId(said.progressToken, id);
      if (isOurs) onProgress?.(progressIn(said));
    };
    const owner = { ...NOBODY, capabilities: this.#capabilities };
    const asking = { id, method, params: { ...params, _meta }, signal, onNotification };
    const response = await this.#server.ask(owner, asking).catch((error: unknown) => {
      throw signal.aborted ? signal.reason : new CallFailed(toFailure(error).message, "unreachable");
    });
    if ("error" in response) throw failed(response.error.message, response.error);
    return JSON.parse(toJson(response.result));
  }
}

/** Never aborted. */
const NEVER = new AbortController().signal;

function progressIn({ progress, total, message }: JsonObject): CallProgress {
  return {
    ...(typeof progress === "number" ? { progress } : {}),
    ...(typeof total === "number" ? { total } : {}),
    ...(typeof message === "string" ? { message } : {}),
  };
}

function failed(message: unknown, error: unknown): CallFailed {
  const known =
    isObject(error) && typeof error.code === "number" ? (error as unknown as JsonRpcError) : undefined;
  return new CallFailed(String(known?.message ?? message), "server", known);
}

/** Whether a poll without a result may have one later. */
function mayPass(error: unknown): boolean {
  return error instanceof CallFailed && (error.kind === "unreachable" || isRetryable(error));
}

/** Whether the server says that it may answer later. */
function isRetryable({ error }: CallFailed): boolean {
  const data = error?.data;
  return isObject(data) && data.retryable === true;
}

function pollMs({ pollIntervalMs }: JsonObject): number {
  if (typeof pollIntervalMs !== "number") return POLL_MS;
  return Math.min(POLL.max, Math.max(POLL.min, pollIntervalMs));
}
