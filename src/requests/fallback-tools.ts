import type { FallbackPolicy } from "../config/config.ts";
import { onAbort } from "../lib/signal.ts";
import { type JsonObject, progressTokenIn } from "../protocol/jsonrpc.ts";
import type { Outcome, TaskId, TaskRecord, TaskView } from "../store/task-store.ts";
import { follow } from "../tasks/follow.ts";
import type { Admission } from "./admission.ts";
import {
  cancelled,
  type FallbackTool,
  noSuchTask,
  offeredBy,
  readArguments,
  said,
  stillRunning,
  whyNone,
} from "./fallback.ts";
import { heartbeatFor } from "./heartbeat.ts";
import { type Identified, type Reply, type Services, waiterOf } from "./request.ts";

/** A call of one of the gateway's own tools. */
export interface ToolCall extends Identified {
  readonly tool: FallbackTool;
  /** Of `tools/call`. */
  readonly params: JsonObject;
  readonly reply: Pick<Reply, "gone" | "notify" | "keepAlive" | "room">;
  /**
   * Begins to ask the task's questions on the client's stream, until the returned function is called; `letGo` ends the wait. Absent: they
   * are an answer, or nobody is asked.
   */
  readonly ask?: (task: TaskId, letGo: AbortController) => () => void;
  /** Whether a task's questions are to be the answer. Absent: never. */
  readonly hasQuestions?: (task: TaskRecord) => boolean;
  /** Whether the server itself lists the tool. Called only if nothing else tells. */
  readonly isServers: () => Promise<boolean>;
}

export type ToolAnswer =
  /** A result of the gateway's own. */
  | { readonly kind: "said"; readonly result: JsonObject }
  /** What the task's call came to: a result or an error of the server. */
  | { readonly kind: "outcome"; readonly outcome: Outcome }
  | { readonly kind: "asks"; readonly task: TaskRecord }
  /** The tool is the server's. */
  | { readonly kind: "servers" }
  | { readonly kind: "gone" };

type ToolServices = Pick<Services, "engine" | "drain" | "quotas" | "stopping" | "fallback">;

/** How soon a model comes back for a result: a gateway that stops waits no longer for it. */
const COMES_BACK_MS = 5_000;

/** The tools by which models of clients that know no tasks get results, whoever asks, and over whichever transport. */
export class FallbackTools {
  readonly #services: ToolServices;
  readonly #admission: Pick<Admission, "roomToTell">;

  constructor(services: ToolServices, admission: Pick<Admission, "roomToTell">) {
    this.#services = services;
    this.#admission = admission;
  }

  /** @throws RpcError when a limit is reached or the store is away */
  async answer(call: ToolCall): Promise<ToolAnswer> {
    const { engine, fallback } = this.#services;
    const { route, params, owner } = call;
    const offered = offeredBy(route);
    if (offered === undefined) return { kind: "servers" };
    const written = readArguments(params.arguments, offered.afterMs);
    const id = fallback.find(call, params.arguments);
    const view = id === undefined ? undefined : await engine.seek(id, owner, waiterOf(call));
    if (view === undefined) {
      // A gateway behind this one may have tools of the same names, and its words look like ours.
      if (fallback.isTaken(route) ?? (await call.isServers())) return { kind: "servers" };
      const result = written.fault === undefined ? noSuchTask() : said(written.fault, true);
      return { kind: "said", result };
    }
    switch (call.tool) {
      case "cancel":
        return this.#cancel(call, view, offered);
      case "result":
        if (written.fault !== undefined) return { kind: "said", result: said(written.fault, true) };
        return this.#result(call, view, written.waitMs);
    }
  }

  /** As `told`, for a client whose call has just become the task. */
  detached(who: Identified, task: TaskRecord): JsonObject {
    this.#services.engine.report({ kind: "detached", task });
    return this.told(who, task);
  }

  /** What a client is told of a task that runs; its model is going to come back. */
  told({ route }: Identified, task: TaskRecord): JsonObject {
    const { engine, drain } = this.#services;
    const policy = route.policy(task.tool).fallback ?? offeredBy(route);
    if (policy === undefined) throw new Error("a route without the fallback has no such task");
    drain.told(task.id, COMES_BACK_MS);
    return stillRunning(task, engine.now() - task.createdAt + policy.afterMs, policy);
  }

  async #cancel(call: ToolCall, { task }: TaskView, offered: FallbackPolicy): Promise<ToolAnswer> {
    const { hasEnded } = await this.#services.engine.cancel(task.id, call.owner, waiterOf(call));
    return { kind: "said", result: cancelled(task, hasEnded, offered) };
  }

  async #result(call: ToolCall, first: TaskView, waitMs: number): Promise<ToolAnswer> {
    const { engine, drain } = this.#services;
    const { task, outcome } = waitMs === 0 ? first : await this.#waited(call, first, waitMs);
    if (outcome !== undefined) {
      engine.report({ kind: "read", task, method: "tasks/result" });
      drain.fetched(task.id);
      await this.#admission.roomToTell({ task, outcome }, call.reply);
      const none = whyNone(task, outcome);
      return none === undefined ? { kind: "outcome", outcome } : { kind: "said", result: none };
    }
    if (call.reply.gone.aborted) return { kind: "gone" };
    if (call.hasQuestions?.(task)) return { kind: "asks", task };
    return { kind: "said", result: this.told(call, task) };
  }

  /** The task once it has ended or asks something, or as it is when the time is over or the client has gone. */
  async #waited(call: ToolCall, first: TaskView, waitMs: number): Promise<TaskView> {
    const { engine, drain, quotas, stopping } = this.#services;
    const { owner, reply, ask, hasQuestions } = call;
    const { id } = first.task;
    const isNews = ({ task, outcome }: TaskView) => outcome !== undefined || hasQuestions?.(task) === true;
    if (isNews(first)) return first;
    const giveBack = quotas.take("streams", call.quotaKey);
    const over = new AbortController();
    const end = () => over.abort();
    // A gateway that stops waits for its own calls to end; other gateways can answer for tasks that run elsewhere.
    const stop = () => {
      if (engine.callOf(id) === undefined) end();
    };
    const offOver = onAbort([reply.gone, drain.over], end);
    const offStopping = onAbort(stopping, stop);
    const timer = setTimeout(end, waitMs);
    const answered = drain.attend();
    const leave = ask?.(id, over) ?? (() => {});
    const token = progressTokenIn(call.params);
    const { heartbeatMs } = call.route.policy(first.task.tool);
    const heartbeat = heartbeatFor(token, heartbeatMs, (said) => reply.notify(said));
    const hush =
      heartbeat && engine.callOf(id)?.listen({ onProgress: (progress) => heartbeat.pass(progress) });
    let last = first;
    const look = (seen: TaskView) => {
      const { statusMessage } = seen.task;
      // Of a call that runs in another gateway, the record says how far it is.
      const isTold = hush !== undefined || statusMessage === last.task.statusMessage;
      if (!isTold && statusMessage !== undefined) heartbeat?.say(statusMessage);
      last = seen;
      return isNews(seen) || undefined;
    };
    reply.keepAlive();
    try {
      await follow(engine, id, owner, over.signal, look);
      return last;
    } finally {
      clearTimeout(timer);
      heartbeat?.stop();
      hush?.();
      leave();
      answered();
      giveBack();
      offOver();
      offStopping();
    }
  }
}
