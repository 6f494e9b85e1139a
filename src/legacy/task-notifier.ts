import type { Call } from "../calls/call.ts";
import {
  type JsonObject,
  type JsonRpcMessage,
  type JsonText,
  type RequestId,
  toJson,
} from "../protocol/jsonrpc.ts";
import type { ClientStream } from "../requests/client-stream.ts";
import type { TaskId, TaskOwner, TaskView } from "../store/task-store.ts";
import type { TaskEngine } from "../tasks/engine.ts";
import { questionId } from "./question-id.ts";
import { legacyQuestion, legacyTask, relatedTo } from "./task-view.ts";

/** How long to wait before reading the store again after it failed. */
const RETRY_MS = 1_000;

export interface NotifierOptions {
  readonly owner: TaskOwner;
  /** Whether the client knows no tasks: it gets questions as the server put them, and no status. */
  readonly isPlain: boolean;
}

/** Tells a client of 2025-11-25 what happens to one task: its server's questions, and its status. */
export class TaskNotifier {
  readonly #engine: TaskEngine;
  readonly #id: TaskId;
  readonly #owner: TaskOwner;
  readonly #isPlain: boolean;
  readonly #stopWatching: () => void;
  /** The streams of requests that wait for the task's end. */
  readonly #attending = new Set<ClientStream>();
  /** The streams on which the task's session listens, while the task has not ended. */
  #listening: ReadonlySet<ClientStream> | undefined;
  /** Questions that were asked, and on which stream. A question whose stream has closed since may have got lost. */
  readonly #asked = new Map<string, ClientStream>();
  readonly #answered = new Set<string>();
  #status: unknown = "working";
  #isFollowed = false;
  #call: Call | undefined;
  /** Questions from the session's stream that were taken for this task. The server may send them again when that stream is resumed. */
  readonly #heard = new Set<RequestId>();
  #looking = false;
  #isStale = false;
  #retry: NodeJS.Timeout | undefined;
  onFollowed = () => {};

  constructor(engine: TaskEngine, id: TaskId, { owner, isPlain }: NotifierOptions) {
    this.#engine = engine;
    this.#id = id;
    this.#owner = owner;
    this.#isPlain = isPlain;
    this.#stopWatching = engine.watch(id, () => this.wake());
  }

  /** Whether no client is left to tell. */
  get isIdle(): boolean {
    return !this.#isFollowed && this.#attending.size === 0;
  }

  /** Tells the session of these streams everything until the task has ended. */
  follow(call: Call, listening: ReadonlySet<ClientStream> | undefined): void {
    this.#call = call;
    this.#isFollowed = true;
    this.#listening = listening;
    this.wake();
  }

  attend(stream: ClientStream): () => void {
    this.#attending.add(stream);
    this.wake();
    return () => {
      this.#attending.delete(stream);
      // Questions asked there may have got lost, and may be asked elsewhere.
      this.wake();
    };
  }

  /** Notes that a client has answered a question: the client that was asked need not hear that the question is gone. */
  answered(key: string, { route, caller }: TaskOwner): void {
    const isOwner = route === this.#owner.route && caller === this.#owner.caller;
    if (isOwner && this.#asked.has(key)) this.#answered.add(key);
  }

  /** Takes a server's message on the session's stream; `isAlone`: it can mean no other call. Returns whether it took the message. */
  hear(message: JsonRpcMessage, isAlone: boolean): boolean {
    if (this.#call === undefined || !("method" in message)) return false;
    const { method, params } = message;
    if ("id" in message) {
      if (this.#heard.has(message.id)) return true;
      if (!isAlone || method === "ping" || !this.#call.hear(message)) return false;
      this.#heard.add(message.id);
      return true;
    }
    const isWithdrawn = method === "notifications/cancelled" && this.#call.isAskedUnder(params?.requestId);
    return (isWithdrawn || method === "notifications/progress") && this.#call.hear(message);
  }

  /** Sends a notification that belongs to the task, if any stream takes it. */
  tell(method: string, params: JsonObject): void {
    this.#deliver(message(method, relatedTo(this.#id, params)));
  }

  /** To be called when the task, or where its client can be reached, may have changed. */
  wake(): void {
    this.#isStale = true;
    if (!this.#looking) void this.#look();
  }

  close(): void {
    this.#isFollowed = false;
    this.#attending.clear();
    this.#stopWatching();
    clearTimeout(this.#retry);
  }

  async #look(): Promise<void> {
    this.#looking = true;
    try {
      while (this.#isStale && !this.isIdle) {
        this.#isStale = false;
        this.#show(await this.#engine.find(this.#id, this.#owner));
      }
    } catch {
      // The store failed; requests that need an answer of it get the error themselves.
      clearTimeout(this.#retry);
      if (!this.isIdle) this.#retry = setTimeout(() => this.wake(), RETRY_MS);
    } finally {
      this.#looking = false;
    }
  }

  #show(view: TaskView | undefined): void {
    const isOver = view === undefined || view.outcome !== undefined;
    const questions = isOver ? {} : view.task.inputRequests;
    for (const [key, stream] of this.#asked) {
      if (Object.hasOwn(questions, key)) continue;
      this.#asked.delete(key);
      // The server has withdrawn it (2025-11-25, Cancellation).
      const params = { requestId: questionId(this.#id, key) };
      if (!this.#answered.delete(key)) stream.send(message("notifications/cancelled", params));
    }
    if (view !== undefined && !this.#isPlain) this.#showStatus(view);
    for (const [key, question] of Object.entries(questions)) {
      if (this.#asked.get(key)?.isOpen) continue;
      const asked = this.#isPlain ? question : legacyQuestion(question, this.#id);
      const stream = this.#deliver(toJson({ jsonrpc: "2.0", id: questionId(this.#id, key), ...asked }));
      if (stream !== undefined) this.#asked.set(key, stream);
    }
    if (isOver && this.#isFollowed) {
      this.#isFollowed = false;
      this.#call = undefined;
      this.onFollowed();
    }
  }

  #showStatus(view: TaskView): void {
    const task = legacyTask(view, this.#engine.now());
    if (task.status === this.#status) return;
    this.#status = task.status;
    const method = "notifications/tasks/status";
    if (deliver(message(method, task), this.#listening))
      this.#engine.report({ kind: "read", task: view.task, method });
  }

  /** Sends a message where a client of this task hears it, and returns that stream (2025-11-25, Tasks §Input Required Status). */
  #deliver(text: JsonText): ClientStream | undefined {
    return deliver(text, this.#attending) ?? deliver(text, this.#listening);
  }
}

/** Newest stream first: an older one may be open only because the gateway has not noticed yet that its client has gone. */
function deliver(text: JsonText, streams: ReadonlySet<ClientStream> | undefined): ClientStream | undefined {
  return [...(streams ?? [])].findLast((stream) => stream.isOpen && stream.send(text));
}

function message(method: string, params: JsonObject): JsonText {
  return toJson({ jsonrpc: "2.0", method, params });
}
