import { isObject, type JsonObject, type JsonRpcRequest, toJson } from "../protocol/jsonrpc.ts";
import { TASKS_2025 } from "../protocol/legacy.ts";
import { resultMessage } from "../protocol/modern.ts";
import { withTaskSupport } from "./amended.ts";
import type { SessionKey } from "./backchannels.ts";
import { toAnswer } from "./caught.ts";
import { isTaskMethod } from "./classify.ts";
import type { ClientEnd } from "./client-end.ts";
import { type Handler, handleBy, type Identified, waiterOf } from "./lane.ts";
import { bytesOf } from "./message-bytes.ts";
import type { PendingRequests } from "./pending-requests.ts";
import type { ServerEnd } from "./server-end.ts";
import type { SessionRequest } from "./session-request.ts";
import type { Tasks2025 } from "./tasks-2025.ts";

export interface PairedTasksOptions {
  readonly who: Identified;
  readonly tasks: Tasks2025;
  readonly session: SessionKey;
  readonly client: Pick<ClientEnd, "send" | "isReached">;
  readonly server: Pick<ServerEnd, "join">;
  readonly pending: PendingRequests;
  /** Aborted when the client has gone. */
  readonly over: AbortSignal;
  /** Passes a request on to the server; `amend` says what is made of the answer's text. */
  ask(request: JsonRpcRequest, amend?: (answer: string) => string): void;
}

/** What the gateway has to do with tasks in a paired session. */
export class PairedTasks {
  readonly #options: PairedTasksOptions;
  #areKnown = false;
  #areServers = false;

  constructor(options: PairedTasksOptions) {
    this.#options = options;
  }

  /** Whether the revision that was negotiated has tasks. */
  get areKnown(): boolean {
    return this.#areKnown;
  }

  /** Takes note of what the server answered to `initialize`. */
  negotiated({ protocolVersion, capabilities }: JsonObject): void {
    this.#areKnown = protocolVersion === TASKS_2025;
    this.#areServers = isObject(capabilities) && capabilities.tasks !== undefined;
  }

  /** Answers a request that has to do with tasks, or has it answered; says whether it is one. */
  take(message: JsonRpcRequest): boolean {
    if (!this.#areKnown || !isTaskMethod(message.method)) return false;
    void this.#answer(this.#options.tasks.handlers[message.method], message);
    return true;
  }

  /** As long as nothing has to be looked up, what goes to the server goes there at once, and so in order. */
  async #answer(handler: Handler<SessionRequest>, message: JsonRpcRequest): Promise<void> {
    const { who, tasks, pending, ask } = this.#options;
    const taskId = message.method.startsWith("tasks/") ? message.params?.taskId : undefined;
    const request = this.#inSession(message);
    try {
      if (this.#areServers && (await tasks.isLeftToServer(who, taskId, waiterOf(request)))) ask(message);
      else await handleBy(handler, request);
    } catch (error) {
      pending.refuse(message.id, toAnswer(error, who.route.log, message));
    }
  }

  #inSession(message: JsonRpcRequest): SessionRequest {
    const { who, client, server, session, pending, over, ask } = this.#options;
    const { id, params } = message;
    return {
      ...who,
      id,
      params: isObject(params) ? params : {},
      held: bytesOf(message),
      session,
      reply: {
        gone: over,
        get isConnected() {
          return client.isReached(id);
        },
        result: (result) => pending.answer(id, resultMessage(id, result)),
        notify: (said) => client.send(typeof said === "string" ? said : toJson(said), id),
        drop: () => pending.answer(id, undefined),
        // What keeps a connection alive is the affair of whoever has it.
        keepAlive: () => {},
      },
      joiner: () => ({ join: (holder) => server.join(holder) }),
      pass: async () => ask(message),
      passToolList: async (supportOf) => ask(message, (answer) => withTaskSupport(answer, supportOf)),
    };
  }
}
