import { setMaxListeners } from "node:events";
import { type RpcError, rpc } from "../../protocol/errors.ts";
import {
  isObject,
  type JsonObject,
  type JsonRpcMessage,
  type JsonRpcNotification,
  type JsonRpcRequest,
  type JsonRpcResponse,
  type JsonText,
  progressTokenIn,
  type RequestId,
  toJson,
} from "../../protocol/jsonrpc.ts";
import { declaresAnyTasks, TASKS_2025 } from "../../protocol/legacy.ts";
import { errorMessage, resultMessage } from "../../protocol/modern.ts";
import { withTasksCapability } from "../../requests/amended.ts";
import { isTaskMethod, type TaskMethod } from "../../requests/classify.ts";
import type { ClientStream } from "../../requests/client-stream.ts";
import { toAnswer } from "../../requests/error-answer.ts";
import { offeredBy } from "../../requests/fallback.ts";
import { type Heartbeat, heartbeatFor } from "../../requests/heartbeat.ts";
import { handleBy, type Identified, waiterOf } from "../../requests/request.ts";
import { slowToStart, toFailure, UpstreamFailure } from "../../upstream/failure.ts";
import { inTime } from "../../upstream/in-time.ts";
import { hasProgress } from "../../upstream/sessions/session.ts";
import { SharedTransport } from "../../upstream/sessions/shared-transport.ts";
import type { Transport } from "../../upstream/transports/transport.ts";
import { type LegacyServices, type SessionKey, sessionKey } from "../client-streams.ts";
import type { PlainCalls } from "../plain-calls.ts";
import { readQuestionId } from "../question-id.ts";
import { type SessionRequest, type Tasks2025, tasksCapability } from "../tasks.ts";
import type { ClientEnd } from "./client-end.ts";
import { bytesOf, headersOf, keep } from "./message-context.ts";
import { PendingRequests } from "./pending-requests.ts";
import { EarlyMessages, MAX_EARLY, type Said, Undelivered } from "./waiting-messages.ts";

export interface PairedSessionOptions {
  readonly who: Identified;
  /** Names the session among all of the caller's on this route. */
  readonly id: string;
  readonly client: ClientEnd;
  /** Whether the client gets messages that are about no request of its own only while it `listen`s. Absent: no, at any time. */
  readonly mustListen?: boolean;
}

type PairServices = Pick<LegacyServices, "clientStreams" | "stopping" | "callCounts" | "traces">;

/** How many requests a client may have under way. */
const MAX_PENDING = 1_000;
/** The longest answer that the gateway changes; a longer one passes as it is. */
const MAX_AMENDED_CHARS = 1_048_576;
/** Which tools take tasks is in the list of tools. */
const TOOLS_CHANGED: JsonRpcNotification = {
  jsonrpc: "2.0",
  method: "notifications/tools/list_changed",
};
/** How long requests that wait for a task may still be answered when the server is gone. */
const LAST_ANSWERS_MS = 2_000;

/**
 * A legacy client's session, paired with a session of its own at the server, whatever transports the two speak: messages pass both ways
 * as they are, in order. In sessions of 2025-11-25 the gateway adds its tasks, unless the server has its own.
 */
export class PairedSession {
  readonly #options: PairedSessionOptions;
  readonly #services: PairServices;
  readonly #tasks: Tasks2025;
  readonly #plain: PlainCalls;
  readonly #key: SessionKey;
  readonly #pending: PendingRequests;
  /** Of calls that the server has, by the client's id. */
  readonly #heartbeats = new Map<RequestId, Heartbeat>();
  /** Messages that the client sent too early; present only while they cannot be passed on. */
  #early: EarlyMessages | undefined;
  /** The server's messages that could not be sent to the client. */
  readonly #undelivered = new Undelivered();
  /** The session with the server, once it has been opened. */
  #transport: SharedTransport | undefined;
  #isClosed = false;
  /** Releases the upstream. */
  #letGo = () => {};
  #state: "new" | "opening" | "open" = "new";
  /** The negotiated revision; `undefined` until there is one. */
  #protocolVersion: string | undefined;
  /** Whether that revision has tasks, and whether the server makes some itself. */
  #areTasksKnown = false;
  #areTasksServers = false;
  #isLost = false;
  /** Aborted when the client has gone. */
  readonly #over = new AbortController();
  #lastAnswers: NodeJS.Timeout | undefined;
  #stopListening = () => {};
  #stopHearingOfRules = () => {};

  constructor(
    options: PairedSessionOptions,
    services: PairServices,
    { tasks, plain }: { readonly tasks: Tasks2025; readonly plain: PlainCalls },
  ) {
    this.#options = options;
    this.#services = services;
    this.#tasks = tasks;
    this.#plain = plain;
    this.#key = sessionKey(options.who.owner, options.id) as SessionKey;
    this.#pending = new PendingRequests((...answer) => {
      options.client.answer(...answer);
      if (this.#isLost) this.#endWhenAnswered();
    });
    // Every request that waits for a task listens to this signal.
    setMaxListeners(0, this.#over.signal);
  }

  get protocolVersion(): string | undefined {
    return this.#protocolVersion;
  }

  /** Whether the session takes no more requests: the server is gone or refused it, or it was closed. */
  get isOver(): boolean {
    return this.#isLost || this.#over.signal.aborted;
  }

  /** Whether any request has no answer yet. */
  get isAsked(): boolean {
    return this.#pending.size > 0;
  }

  /** Whether a call of the session has become a task that has not ended. */
  get hasTasks(): boolean {
    return this.#services.clientStreams.isHearing(this.#key);
  }

  /** Whether a request without an answer has this id, which no other request may have until then. */
  isPending(id: RequestId): boolean {
    return this.#pending.has(id) || (this.#early?.has(id) ?? false);
  }

  /**
   * Takes the client's messages, in order; the first must be `initialize`. Never rejects. Returns whether the message was taken: an answer
   * to a question of a task's server is not while the store does not take it.
   */
  async receive(message: JsonRpcMessage): Promise<boolean> {
    if (!("method" in message)) return this.#takeAnswer(message);
    if (this.isOver) this.#refuse(message, rpc.sessionOver());
    else if (this.#state === "new") this.#begin(message);
    else this.#take(message);
    return true;
  }

  /** Adds a stream on which the client listens. Returns the function that removes it. */
  listen(stream: ClientStream): () => void {
    const stop = this.#services.clientStreams.listen(this.#key, stream);
    this.#sayAgain();
    return stop;
  }

  /** To be called when a client that gets messages at any time can be reached again: it gets those that could not be sent. */
  catchUp(): void {
    this.#stopListening();
    if (this.#over.signal.aborted) return;
    const { client } = this.#options;
    this.#stopListening = this.listen({ isOpen: true, send: (said) => client.send(said) });
  }

  /** To be called when one of the client's connections has ended; it may have others. */
  disconnected(): void {
    this.#services.clientStreams.disconnected(this.#key);
  }

  /** To be called when the client has gone for good: calls that have become tasks may end, and then the session does. */
  retire(): void {
    this.#end();
    void this.#services.clientStreams.quiet(this.#key).then(() => this.close());
  }

  /** Ends the session with the server. Settles when that is gone. Never rejects. */
  async close(): Promise<void> {
    this.#end();
    this.#isClosed = true;
    this.#letGo();
    await this.#transport?.close();
  }

  /** Ends the client's part of the session. */
  #end(): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    const { client } = this.#options;
    const isStopping = this.#services.stopping.aborted;
    this.#pending.end(isStopping ? rpc.stopped() : undefined);
    const refusal = isStopping ? rpc.stopping() : rpc.sessionOver();
    this.#early?.passOn((message) => this.#refuse(message, refusal));
    this.#early = undefined;
    this.#undelivered.take();
    clearTimeout(this.#lastAnswers);
    this.#stopListening();
    this.#stopHearingOfRules();
    client.close();
  }

  /** Opens the session with the client's own `initialize`. */
  #begin(message: Said): void {
    if (!("id" in message) || message.method !== "initialize")
      return this.#refuse(message, rpc.invalidRequest("a session begins with initialize"));
    this.#state = "opening";
    if (declaresAnyTasks(message.params?.capabilities)) this.#plain.note(this.#key);
    this.#early = new EarlyMessages();
    this.#pending.add(message);
    const { route, sessionOwner } = this.#options.who;
    this.#letGo = route.upstream.use();
    route.upstream
      .pair(sessionOwner, (transport) => this.#handshake(transport, message))
      .then((answer) => this.#opened(message.id, answer))
      .catch((error: unknown) => {
        this.#isLost = true;
        this.#fail(message.id, toFailure(error));
      });
  }

  /** The upstream may try one transport after another. @throws UpstreamFailure */
  async #handshake(transport: Transport, initialize: JsonRpcRequest): Promise<JsonRpcResponse> {
    if (this.#isClosed) throw new UpstreamFailure("The client has left", { mayHaveRun: false });
    const shared = new SharedTransport({
      transport,
      onMessage: (message) => this.#hear(message),
      onLost: () => this.#lose(),
    });
    this.#transport = shared;
    return new Promise((onAnswer, onFailure) => {
      shared.ask(initialize, { onAnswer, onFailure }, headersOf(initialize));
    });
  }

  #opened(id: RequestId, answer: JsonRpcResponse): void {
    if ("error" in answer || this.#over.signal.aborted) {
      this.#isLost = true;
      this.#pending.answer(id, toJson(answer));
      return this.#endWhenAnswered();
    }
    const { who, mustListen } = this.#options;
    const { route, caller } = who;
    const { protocolVersion, capabilities } = answer.result;
    this.#protocolVersion = String(protocolVersion);
    // The transport sends it wherever it has a place for it.
    this.#transport?.setProtocolVersion(this.#protocolVersion);
    route.upstream.learn(answer.result);
    this.#areTasksKnown = protocolVersion === TASKS_2025;
    this.#areTasksServers = isObject(capabilities) && capabilities.tasks !== undefined;
    this.#state = "open";
    this.#pending.answer(id, withTasksCapability(toJson(answer), tasksCapability(caller)) as JsonText);
    if (mustListen !== true) this.catchUp();
    if (isObject(capabilities) && isObject(capabilities.tools) && capabilities.tools.listChanged === true)
      this.#stopHearingOfRules = route.onRules(() => this.#hear(TOOLS_CHANGED));
    this.#release();
  }

  #take(message: Said): void {
    if (this.#early === undefined) this.#pass(message);
    else if (!this.#early.add(message))
      this.#refuse(message, rpc.internal(`${MAX_EARLY} messages wait for the session to open already`));
  }

  #release(): void {
    const early = this.#early;
    this.#early = undefined;
    early?.passOn((message) => this.#take(message));
  }

  #pass(message: Said): void {
    if ("id" in message) this.#passRequest(message);
    else if (message.method === "notifications/initialized") this.#passInitialized(message);
    else if (message.method === "notifications/cancelled") this.#takeBack(message);
    else this.#tell(message);
  }

  /** No other message may arrive before `notifications/initialized`. */
  #passInitialized(message: JsonRpcNotification): void {
    this.#early = new EarlyMessages();
    const { startTimeoutMs } = this.#options.who.route.config.upstream;
    inTime(startTimeoutMs, this.#shared.initialized(message), () =>
      slowToStart("take notifications/initialized", startTimeoutMs),
    )
      .catch(() => this.#lose())
      .finally(() => this.#release());
  }

  /** Passes on the client's cancellation (2025-11-25, Cancellation); the client ignores an answer that comes all the same. */
  #takeBack(message: JsonRpcNotification): void {
    const id = message.params?.requestId as RequestId;
    if (this.#services.clientStreams.letGo(this.#key, id)) return;
    this.#tell(message);
    this.#pending.takeBack(id);
  }

  #passRequest(message: JsonRpcRequest): void {
    const { client } = this.#options;
    const { id, method } = message;
    if (method === "initialize")
      return this.#refuse(message, rpc.invalidRequest("the session is open already"));
    // Not as an answer, which the client would take for that to the other request.
    if (this.#pending.has(id))
      return void client.send(errorMessage(id, rpc.invalidRequest("the id is that of a request under way")));
    if (this.#pending.size >= MAX_PENDING)
      return this.#refuse(message, rpc.internal(`${MAX_PENDING} requests are under way already`));
    this.#pending.add(
      message,
      this.#services.callCounts?.begin(this.#options.who.route.config.name, message),
    );
    if (this.#areTasksKnown && isTaskMethod(method)) void this.#answerAboutTasks(method, message);
    else this.#askPlainly(message);
  }

  /** Passes a request that is not about tasks to the server, unless it may become one for a client that knows none. */
  #askPlainly(message: JsonRpcRequest): void {
    const { method } = message;
    const { route } = this.#options.who;
    const params = isObject(message.params) ? message.params : {};
    const amend = method === "tools/list" ? this.#plain.listing(route, this.#key, params) : undefined;
    const isPlainCall =
      method === "tools/call" && params.task === undefined && offeredBy(route) !== undefined;
    if (!isPlainCall) return this.#ask(message, amend);
    this.#traced(message, () => this.#plain.call(this.#inSession(message))).catch((error: unknown) => {
      this.#pending.refuse(message.id, toAnswer(error, route.log, message));
    });
  }

  /** As long as nothing has to be looked up, requests go to the server at once, and so in order. */
  async #answerAboutTasks(method: TaskMethod, message: JsonRpcRequest): Promise<void> {
    const { who } = this.#options;
    const request = this.#inSession(message);
    const taskId = method.startsWith("tasks/") ? request.params.taskId : undefined;
    try {
      if (this.#areTasksServers && (await this.#tasks.isLeftToServer(who, taskId, waiterOf(request))))
        this.#askPlainly(message);
      else await this.#traced(message, () => handleBy(this.#tasks.handlers[method], request));
    } catch (error) {
      this.#pending.refuse(message.id, toAnswer(error, who.route.log, message));
    }
  }

  /** Has a request answered in a span, unless the HTTP request that brought it has one. */
  #traced(message: JsonRpcRequest, answer: () => Promise<void>): Promise<void> {
    const { traces } = this.#services;
    const { name } = this.#options.who.route.config;
    return traces === undefined ? answer() : traces.serve({ server: name, message, headers: {} }, answer);
  }

  #inSession(message: JsonRpcRequest): SessionRequest {
    const { who, client } = this.#options;
    const { id, params } = message;
    return {
      ...who,
      id,
      headers: headersOf(message),
      params: isObject(params) ? params : {},
      held: bytesOf(message),
      session: this.#key,
      reply: {
        gone: this.#over.signal,
        counted: this.#pending.counted(id),
        get isConnected() {
          return client.isReached(id);
        },
        result: (result, isInterim) => {
          const answer = resultMessage(id, result);
          if (isInterim) this.#pending.answerForNow(id, answer);
          else this.#pending.answer(id, answer);
        },
        notify: (said) => client.send(typeof said === "string" ? said : toJson(said), id),
        drop: () => this.#pending.answer(id, undefined),
        // The client's end keeps its connections alive.
        keepAlive: () => {},
      },
      joiner: () => ({
        join: (holder) => this.#shared.join(holder),
        stored: (sent) => this.#shared.stored(sent),
      }),
      pass: async () => this.#ask(message),
      passToolList: async (amend) => this.#ask(message, amend),
    };
  }

  /** @param amend changes the answer's text */
  #ask(message: JsonRpcRequest, amend?: (answer: string) => string): void {
    const { id, method } = message;
    const { clientStreams } = this.#services;
    // Only for a session with tasks must the gateway know the session's other calls.
    const isCall = this.#areTasksKnown && method === "tools/call";
    const passed = isCall ? clientStreams.pass(this.#key) : () => {};
    this.#beat(message);
    const onOver = () => {
      this.#heartbeats.get(id)?.stop();
      this.#heartbeats.delete(id);
      passed();
    };
    const onAnswer = (answer: JsonRpcResponse) => {
      if (method === "tools/list" && "result" in answer)
        this.#options.who.route.upstream.listed.noteAll(answer.result);
      const text = toJson(answer);
      onOver();
      const isAmended = amend !== undefined && text.length <= MAX_AMENDED_CHARS;
      this.#pending.answer(id, isAmended ? (amend(text) as JsonText) : text);
    };
    const onFailure = (failure: UpstreamFailure) => {
      onOver();
      this.#fail(id, failure);
    };
    const stop = this.#shared.ask(message, { onAnswer, onFailure }, headersOf(message));
    this.#pending.passed(id, () => {
      onOver();
      stop();
    });
    this.#sayAgain();
  }

  /** Tells the client of a call that it runs while the server is silent, if it gave a token for that. */
  #beat({ id, method, params }: JsonRpcRequest): void {
    if (method !== "tools/call") return;
    const { who, client } = this.#options;
    const { heartbeatMs } = who.route.policy(String(params?.name));
    const heartbeat = heartbeatFor(progressTokenIn(params), heartbeatMs, (said) =>
      client.send(toJson(said), id),
    );
    if (heartbeat !== undefined) this.#heartbeats.set(id, heartbeat);
  }

  #fail(id: RequestId, { message, facts }: UpstreamFailure): void {
    this.#pending.refuse(id, rpc.refused(message, facts));
  }

  /** Refuses a message that goes nowhere. */
  #refuse(message: Said, refusal: RpcError): void {
    if ("id" in message) this.#options.client.answer(message.id, errorMessage(message.id, refusal), refusal);
  }

  async #takeAnswer(answer: JsonRpcResponse): Promise<boolean> {
    const { who } = this.#options;
    const waiter = waiterOf({ ...who, params: { ...answer }, reply: { gone: this.#over.signal } });
    try {
      const isQuestion = readQuestionId(answer.id) !== undefined;
      // The server's answers go there at once, and in order.
      if (!isQuestion || !(await this.#tasks.takeAnswer(who, { ...answer }, waiter))) this.#tell(answer);
      return true;
    } catch (error) {
      toAnswer(error, who.route.log, answer);
      return false;
    }
  }

  /** Sends the server a notification or an answer. */
  #tell(message: JsonRpcMessage): void {
    const letGo = keep(message);
    void Promise.resolve(this.#transport?.tell(message)).finally(letGo);
  }

  get #shared(): SharedTransport {
    if (this.#transport === undefined) throw new Error("the session is not open");
    return this.#transport;
  }

  /** Passes a server's message on: to the task that it is meant for, or to the client. */
  #hear(message: Said): void {
    const { clientStreams } = this.#services;
    if (clientStreams.isHearing(this.#key) && clientStreams.hear(this.#key, message)) return;
    if (this.#state !== "open" || !this.#say(message)) this.#keep(message);
  }

  /** Returns whether the message could be sent to the client. */
  #say(message: Said): boolean {
    const { client } = this.#options;
    if (this.#over.signal.aborted) return false;
    const text = toJson(message);
    const about = this.#pending.about(message.params?.progressToken);
    const { method, params = {} } = message;
    if (about !== undefined && method === "notifications/progress" && hasProgress(params))
      this.#heartbeats.get(about)?.note(params);
    if (client.send(text, about)) return true;
    const { newest } = this.#pending;
    return newest !== undefined && client.send(text, newest);
  }

  /** Keeps a message for the client, and answers a ping: servers end a session that does not answer. */
  #keep(message: Said): void {
    const answer = (what: JsonObject) => {
      if ("id" in message) this.#tell({ jsonrpc: "2.0", id: message.id, ...what } as JsonRpcResponse);
    };
    if (message.method === "ping") answer({ result: {} });
    else if (this.isOver || !this.#undelivered.add(message))
      answer({ error: { code: -32603, message: "The client cannot be reached" } });
  }

  #sayAgain(): void {
    for (const message of this.#undelivered.take()) this.#hear(message);
  }

  /** Notes that the server is gone. Requests that it leaves without an answer get an error right after. */
  #lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    if (this.#over.signal.aborted) return void this.close();
    this.#lastAnswers = setTimeout(() => void this.close(), LAST_ANSWERS_MS);
    // Waiting requests must get their error first: closing the session would give them another reason.
    queueMicrotask(() => this.#endWhenAnswered());
  }

  #endWhenAnswered(): void {
    if (this.#pending.size === 0) void this.close();
  }
}
