import { setTimeout as sleep } from "node:timers/promises";
import type { Call } from "../calls/call.ts";
import type { CallEnd, CallListener } from "../calls/call-end.ts";
import { nextMoment } from "../calls/wait.ts";
import type { FallbackPolicy } from "../config/config.ts";
import { steadyNow } from "../lib/clock.ts";
import { Recent } from "../lib/recent.ts";
import { onAbort } from "../lib/signal.ts";
import { within } from "../lib/within.ts";
import { throttled } from "../log/throttled.ts";
import { RpcError, rpc } from "../protocol/errors.ts";
import { type JsonObject, progressTokenIn, saysObject, toJson } from "../protocol/jsonrpc.ts";
import type { Admission } from "../requests/admission.ts";
import { streamOf } from "../requests/client-stream.ts";
import { type FallbackTool, offeredBy, ownTool } from "../requests/fallback.ts";
import { FallbackTools } from "../requests/fallback-tools.ts";
import { heartbeatFor } from "../requests/heartbeat.ts";
import type { Route } from "../requests/request.ts";
import { StoreUnavailable, type TaskRecord } from "../store/task-store.ts";
import type { LegacyServices, SessionKey } from "./client-streams.ts";
import { callInSession } from "./session-call.ts";
import type { SessionRequest } from "./tasks.ts";

/** How many sessions the gateway remembers whose clients know tasks. */
const MAX_KNOWING = 20_000;
/** For how long a session is taken for that of a client that knows none, since it was looked for among those of other gateways. */
const LOOK_AGAIN_MS = 10_000;
/** How long a request waits for that: a store that is away must not keep it. */
const LOOK_MS = 1_000;
/** The pause between tries to make a call a task while the store takes none, or a limit is reached. */
const RETRY_MS = 250;
/** For streams of clients that know no tasks. */
const PLAIN = { isPlain: true } as const;

/**
 * `tools/call` and `tools/list` of legacy clients that have not asked for tasks (`fallback: tools`). The call is made in the client's own
 * session, and answered plainly if it ends in time.
 */
export class PlainCalls {
  readonly #services: LegacyServices;
  readonly #admission: Admission;
  readonly #tools: FallbackTools;
  /** Sessions of clients that declare tasks, or have asked for one. */
  readonly #knowing = new Recent<SessionKey, true>(MAX_KNOWING);
  /** When sessions were last looked for that other gateways may know, by `steadyNow`. */
  readonly #lookedAt = new Recent<SessionKey, number>(MAX_KNOWING);

  constructor(services: LegacyServices, admission: Admission) {
    this.#services = services;
    this.#admission = admission;
    this.#tools = new FallbackTools(services, admission);
  }

  /** Notes that a session's client knows tasks: it never sees anything of the fallback here. */
  note(session: SessionKey | undefined): void {
    if (session !== undefined) this.#knowing.set(session, true);
  }

  /** The same for all gateways on the store, if clients that know no tasks see something of the fallback on this route. */
  noteForAll(route: Route, session: SessionKey | undefined): void {
    const { sessionNotes } = this.#services;
    if (session === undefined || this.#knows(session)) return;
    this.note(session);
    if (sessionNotes === undefined || offeredBy(route) === undefined) return;
    sessionNotes.note(session).catch((err: unknown) => {
      const what = "could not note for other gateways that a client knows tasks";
      throttled(route.log).say("warn", { err }, what);
    });
  }

  /** Finds out whether another gateway knows the session, where that matters; `undefined`: there is nothing to find out. Never rejects. */
  look(route: Route, session: SessionKey | undefined): Promise<void> | undefined {
    const { sessionNotes } = this.#services;
    if (sessionNotes === undefined || session === undefined || offeredBy(route) === undefined)
      return undefined;
    const now = steadyNow();
    if (this.#knows(session) || now - (this.#lookedAt.get(session) ?? -Infinity) < LOOK_AGAIN_MS)
      return undefined;
    const looking = sessionNotes.has(session).then((isNoted) => {
      if (isNoted) this.note(session);
      else this.#lookedAt.set(session, now);
    });
    return within(LOOK_MS, looking).catch(() => {});
  }

  /** How to change the answer to `tools/list` for a session; `undefined`: not at all. */
  listing(
    route: Route,
    session: SessionKey | undefined,
    { cursor }: JsonObject,
  ): ((answer: string) => string) | undefined {
    return this.#knows(session) ? undefined : this.#services.fallback.listing(route, cursor);
  }

  /** Whether a call of the tool becomes a task for this client if it takes long. */
  mayDetach({ route, session }: Pick<SessionRequest, "route" | "session">, tool: string): boolean {
    return !this.#knows(session) && this.#services.fallback.policyFor(route, tool) !== undefined;
  }

  /** `tools/call` without `task`. */
  async call(request: SessionRequest): Promise<void> {
    const { route, params, caller, session } = request;
    const { name, arguments: args } = params;
    // The server itself refuses what it would not take.
    const isRefused = caller.refusal !== undefined || (args !== undefined && !saysObject(args));
    if (isRefused || this.#knows(session) || typeof name !== "string") return request.pass();
    const own = ownTool(route, name);
    if (own !== undefined && (await this.#answerItself(request, own))) return;
    const fallback = this.#services.fallback.policyFor(route, name);
    if (fallback === undefined) return request.pass();
    return new PlainCall(this.#services, this.#admission, this.#tools, request).conduct(
      { ...params, name },
      fallback,
    );
  }

  #knows(session: SessionKey | undefined): boolean {
    return session !== undefined && this.#knowing.get(session) === true;
  }

  /** One of the gateway's own tools. Returns whether the gateway has answered: the tool may be the server's after all. */
  async #answerItself(request: SessionRequest, tool: FallbackTool): Promise<boolean> {
    const { reply, route, sessionOwner, id, owner, session, params } = request;
    const { clientStreams } = this.#services;
    const answer = await this.#tools.answer({
      ...request,
      tool,
      ask: (task, over) => {
        const letGo = () => over.abort();
        const taken = session === undefined ? () => {} : clientStreams.wait(session, id, { task, letGo });
        const leave = clientStreams.attend(task, owner, streamOf(request.reply, over.signal), PLAIN);
        return () => {
          leave();
          taken();
        };
      },
      // Over stdio that would start another process.
      isServers: async () =>
        route.config.upstream.transport !== "stdio" &&
        route.upstream.toolsFor(sessionOwner).isListed(String(params.name)),
    });
    switch (answer.kind) {
      case "servers":
        return false;
      case "gone":
        reply.drop();
        return true;
      case "said":
        reply.result(toJson(answer.result));
        return true;
      case "outcome":
        if (answer.outcome.kind === "failed") throw new RpcError(answer.outcome.error);
        if (answer.outcome.kind === "completed") reply.result(answer.outcome.result);
        return true;
      case "asks":
        throw new Error("a legacy client is asked on its stream");
    }
  }
}

/** One call of a client that has not asked for a task, until it has ended, has become a task, or its client has gone. */
class PlainCall {
  readonly #services: LegacyServices;
  readonly #admission: Admission;
  readonly #tools: FallbackTools;
  readonly #request: SessionRequest;
  /** Aborted when nobody waits for the answer any more. */
  readonly #over = new AbortController();
  readonly #ends: (() => void)[] = [];
  #isCancelled = false;
  #isPlaced = false;
  /** The task, once the call has become one. */
  #task: TaskRecord | undefined;

  constructor(services: LegacyServices, admission: Admission, tools: FallbackTools, request: SessionRequest) {
    this.#services = services;
    this.#admission = admission;
    this.#tools = tools;
    this.#request = request;
  }

  async conduct(params: JsonObject & { readonly name: string }, fallback: FallbackPolicy): Promise<void> {
    const { engine, stopping, drain, newCall } = this.#services;
    const { reply, route } = this.#request;
    const until = performance.now() + fallback.afterMs;
    const policy = route.policy(params.name);
    const draft = this.#services.fallback.newTask(this.#request, params.name);
    const call = await callInSession(this.#request, params, policy, {
      admission: this.#admission,
      newCall,
    });
    const passed = this.#attend(call, draft.id ?? "");
    const leave = call.attend();
    call.start();
    reply.keepAlive();
    try {
      for (;;) {
        const moment = await nextMoment(call, {
          gone: this.#over.signal,
          windowMs: Math.max(0, until - performance.now()),
          isWindowFixed: true,
          ignoresQuestions: this.#task !== undefined,
          // The next gateway goes on with the task, and the client is asked to come back.
          ...(engine.isLasting ? { hurry: stopping } : {}),
        });
        if (moment === "ended") return this.#end(call);
        if (moment === "gone") {
          if (leave()) await this.#giveUp(call);
          return reply.drop();
        }
        let task: TaskRecord;
        try {
          task = this.#task ?? (await this.#becomeTask(call, draft, policy.maxResultBytes));
          this.#task = task;
          passed();
        } catch (error) {
          if (drain.over.aborted) throw rpc.stopped();
          await notYet(route, error);
          continue;
        }
        if (moment === "asked") this.#ask(task);
        // Its client, if it has just gone, does not know the task.
        else if (!this.#over.signal.aborted)
          return reply.result(toJson(this.#tools.detached(this.#request, task)), true);
      }
    } finally {
      this.#over.abort();
      for (const end of this.#ends) end();
      if (leave()) call.forgetResult();
    }
  }

  /** Tells the client what is said during the call, and hears when it leaves. Returns what to call when the call is a task. */
  #attend(call: Call, taskId: string): () => void {
    const { clientStreams } = this.#services;
    const { reply, session, id } = this.#request;
    const hangUp = () => this.#over.abort();
    const stopListening = onAbort(reply.gone, hangUp);
    const { listener, stop } = telling(this.#request);
    const hush = call.listen(listener);
    this.#ends.push(stopListening, hush, stop);
    if (session === undefined) return () => {};
    const letGo = () => {
      this.#isCancelled = true;
      hangUp();
    };
    this.#ends.push(clientStreams.wait(session, id, { task: taskId, letGo }));
    // While another plain call is under way in the session, a question that names no call may be its.
    let end = clientStreams.pass(session);
    const passed = () => {
      end();
      end = () => {};
    };
    this.#ends.push(passed);
    return passed;
  }

  /** @throws StoreUnavailable, and RpcError when a limit is reached */
  async #becomeTask(
    call: Call,
    draft: Parameters<LegacyServices["engine"]["createTask"]>[1],
    maxResultBytes: number,
  ): Promise<TaskRecord> {
    const { engine, clientStreams } = this.#services;
    const { owner, session } = this.#request;
    if (!this.#isPlaced) call.listen({ onEnd: this.#admission.takeTask(this.#request) });
    this.#isPlaced = true;
    const task = await engine.createTask(call, draft, maxResultBytes);
    clientStreams.follow(task.id, owner, { session, call, progressToken: undefined, ...PLAIN });
    return task;
  }

  /** Has the server's questions asked on the stream of the call: from now on any gateway can take the answers. */
  #ask({ id }: TaskRecord): void {
    const { owner } = this.#request;
    const stream = streamOf(this.#request.reply, this.#over.signal);
    this.#ends.push(this.#services.clientStreams.attend(id, owner, stream, PLAIN));
  }

  /** The client has gone, and does not know the task: nobody can ever ask for it. */
  async #giveUp(call: Call): Promise<void> {
    if (this.#task !== undefined) await this.#services.engine.cancel(this.#task.id, this.#request.owner);
    else if (this.#isCancelled) call.cancel("cancelled by the client");
    // A hang-up is no cancellation (2025-11-25, Transports §Sending Messages): the server notices that its stream is closed.
    else call.handOff();
  }

  #end({ end }: Call): void {
    const { reply } = this.#request;
    switch (end?.kind) {
      case "result":
        return reply.result(toJson(end.result));
      case "error":
        throw new RpcError(end.error);
      case "ours":
        throw errorOf(end);
      case "cancelled":
        throw rpc.internal(`The call was cancelled: ${end.reason}`);
      case "handedOff":
        // Another gateway goes on with it.
        if (this.#task === undefined) throw rpc.stopped();
        return reply.result(toJson(this.#tools.detached(this.#request, this.#task)), true);
      case undefined:
        throw new Error("a call that has not ended has no answer");
    }
  }
}

/** A call that cannot become a task now goes on, and its client waits. @throws what is no reason for that */
async function notYet(route: Route, error: unknown): Promise<void> {
  if (!(error instanceof StoreUnavailable || error instanceof RpcError)) throw error;
  const what =
    "could not make a call a task; its client waits for the result, or until there is room for one";
  throttled(route.log).say("warn", { err: error }, what);
  await sleep(RETRY_MS);
}

/** The server's refusal as the server put it, also one for want of credentials. */
function errorOf({ error, failure }: Extract<CallEnd, { kind: "ours" }>): RpcError {
  return failure === undefined ? error : rpc.refused(failure.message, failure.facts);
}

/** Tells the client what its server says during the call, as the server says it, and that the call runs while the server is silent. */
function telling({ params, reply, route }: SessionRequest) {
  const { heartbeatMs } = route.policy(String(params.name));
  const heartbeat = heartbeatFor(progressTokenIn(params), heartbeatMs, (said) => reply.notify(said));
  const listener: CallListener = {
    onSent: () => reply.counted?.sent(),
    onProgress: (progress) => heartbeat?.pass(progress),
    onNotification: (said) => void reply.notify(said),
  };
  return { listener, stop: () => heartbeat?.stop() };
}
