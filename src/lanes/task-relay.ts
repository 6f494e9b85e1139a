import {
  type JsonObject,
  type JsonRpcMessage,
  type JsonText,
  type RequestId,
  toJson,
} from "../protocol/jsonrpc.ts";
import type { TaskId, TaskView } from "../stores/task-store.ts";
import type { Call } from "../tasks/call.ts";
import type { Claimant, TaskEngine } from "../tasks/engine.ts";
import { legacyQuestion, legacyTask, relatedTo } from "../tasks/view-2025.ts";
import type { Channel } from "./backchannels.ts";
import { questionId } from "./question-id.ts";

/** When the store is looked at again after it gave no answer. */
const RETRY_MS = 1_000;

/** Tells a client of 2025-11-25 what happens to one task: what its server asks, and how it stands. */
export class TaskRelay {
  readonly #engine: TaskEngine;
  readonly #id: TaskId;
  readonly #claimant: Claimant;
  readonly #stopWatching: () => void;
  /** The streams of requests that wait for the task's end. */
  readonly #attending = new Set<Channel>();
  /** The streams that the session listens on in which the task began, while it has not ended. */
  #listening: ReadonlySet<Channel> | undefined;
  /** Questions that have been asked, and where. One whose stream has closed since may have got lost. */
  readonly #asked = new Map<string, Channel>();
  readonly #answered = new Set<string>();
  #status: unknown = "working";
  #isFollowed = false;
  #call: Call | undefined;
  /** What the server asked on the stream of the session, and was taken for this task. It may come again when that is resumed. */
  readonly #heard = new Set<RequestId>();
  #looking = false;
  #isStale = false;
  #retry: NodeJS.Timeout | undefined;
  onFollowed = () => {};

  constructor(engine: TaskEngine, id: TaskId, claimant: Claimant) {
    this.#engine = engine;
    this.#id = id;
    this.#claimant = claimant;
    this.#stopWatching = engine.watch(id, () => this.wake());
  }

  /** Whether nobody is to be told anything any more. */
  get isIdle(): boolean {
    return !this.#isFollowed && this.#attending.size === 0;
  }

  /** The session that these streams belong to is told of everything until the task has ended. */
  follow(call: Call, listening: ReadonlySet<Channel> | undefined): void {
    this.#call = call;
    this.#isFollowed = true;
    this.#listening = listening;
    this.wake();
  }

  attend(channel: Channel): () => void {
    this.#attending.add(channel);
    this.wake();
    return () => {
      this.#attending.delete(channel);
      // What was asked there may have got lost, and may be asked elsewhere.
      this.wake();
    };
  }

  /** Somebody has answered a question: whoever it was asked need not be told that it is no longer asked. */
  answered(key: string, { route, caller }: Claimant): void {
    const isOwner = route === this.#claimant.route && caller === this.#claimant.caller;
    if (isOwner && this.#asked.has(key)) this.#answered.add(key);
  }

  /** What the server says on the stream of the session; `isAlone` if there is no other call it could mean. Whether it was taken. */
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

  /** Sends a notification that belongs to the task, if there is anywhere to send it. */
  tell(method: string, params: JsonObject): void {
    this.#deliver(message(method, relatedTo(this.#id, params)));
  }

  /** Something may have changed: the task, or where its client can be reached. */
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
        this.#show(await this.#engine.find(this.#id, this.#claimant));
      }
    } catch {
      // The store gave no answer, and whoever asked it for an answer of its own is told so.
      clearTimeout(this.#retry);
      if (!this.isIdle) this.#retry = setTimeout(() => this.wake(), RETRY_MS);
    } finally {
      this.#looking = false;
    }
  }

  #show(view: TaskView | undefined): void {
    const isOver = view === undefined || view.outcome !== undefined;
    const questions = isOver ? {} : view.task.inputRequests;
    for (const [key, channel] of this.#asked) {
      if (Object.hasOwn(questions, key)) continue;
      this.#asked.delete(key);
      // The server has withdrawn it (2025-11-25, Cancellation).
      const params = { requestId: questionId(this.#id, key) };
      if (!this.#answered.delete(key)) channel.send(message("notifications/cancelled", params));
    }
    if (view !== undefined) this.#showStatus(view);
    for (const [key, question] of Object.entries(questions)) {
      if (this.#asked.get(key)?.isOpen) continue;
      const asked = legacyQuestion(question, this.#id);
      const channel = this.#deliver(toJson({ jsonrpc: "2.0", id: questionId(this.#id, key), ...asked }));
      if (channel !== undefined) this.#asked.set(key, channel);
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
    if (deliver(message(method, task), this.#listening)) this.#engine.audit?.read(view.task, method);
  }

  /** Sends it where a client of this task hears it, and says where that is (2025-11-25, Tasks §Input Required Status). */
  #deliver(text: JsonText): Channel | undefined {
    return deliver(text, this.#attending) ?? deliver(text, this.#listening);
  }
}

/** The newest stream first: an older one may be open only because nobody has noticed yet that its client has gone. */
function deliver(text: JsonText, channels: ReadonlySet<Channel> | undefined): Channel | undefined {
  return [...(channels ?? [])].findLast((channel) => channel.isOpen && channel.send(text));
}

function message(method: string, params: JsonObject): JsonText {
  return toJson({ jsonrpc: "2.0", method, params });
}
