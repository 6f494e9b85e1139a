import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Call } from "../calls/call.ts";
import type { CallEnd, CallListener } from "../calls/call-end.ts";
import { isModernInput } from "../calls/input.ts";
import { nextMoment } from "../calls/wait.ts";
import type { Signal } from "../lib/signal.ts";
import { throttled } from "../log/throttled.ts";
import { fromModernServer, fromServer, RpcError, rpc } from "../protocol/errors.ts";
import type { JsonObject } from "../protocol/jsonrpc.ts";
import { tasksNeeded } from "../protocol/modern.ts";
import {
  type InputRequest,
  isAway,
  type Outcome,
  type TaskId,
  type TaskRecord,
  type TaskView,
} from "../store/task-store.ts";
import { type CallsAwaitingInput, MAX_ROUNDS, type RequestIdentity } from "./awaiting-input.ts";
import type { CallTask, TaskEngine } from "./engine.ts";
import { follow } from "./follow.ts";
import type { WaiterOf } from "./store-wait.ts";

/** What the gateway tells a client about its call: exactly one of these. */
export type CallAnswer =
  | { readonly kind: "result"; readonly result: JsonObject }
  | { readonly kind: "error"; readonly error: RpcError }
  /** The call waits until its client comes back with answers and this state (2026-07-28, MRTR). */
  | {
      readonly kind: "asks";
      readonly inputRequests: Readonly<Record<string, InputRequest>>;
      readonly requestState: string;
    }
  /** The call is a task by now. */
  | { readonly kind: "handle"; readonly task: TaskRecord }
  /** Another replica continues the call. */
  | { readonly kind: "handedOff" }
  /** The client has hung up. */
  | { readonly kind: "gone" };

/** How to conduct a call for its client. */
export interface Conduct {
  readonly identity: RequestIdentity;
  /** The task that the call may become, or is while it awaits input. */
  readonly task: () => CallTask;
  readonly mayBecomeTask: boolean;
  readonly waitForMs: number;
  /**
   * Whether the client gets its answer by then, however long the call waits for its turn, and sooner if the gateway stops and the task
   * outlives it. Absent: `waitForMs` counts from when the call is sent.
   */
  readonly isPunctual?: boolean;
  /**
   * Whether the client may send the call again under its idempotency key. The call then outlives the client, and what the client hears of
   * its end is what the store keeps: nobody may hear anything else later. Absent: no.
   */
  readonly isRepeatable?: boolean;
  readonly maxResultBytes: number;
  /** Takes the place that a call awaiting input needs; returns a function that gives it back. @throws RpcError */
  readonly takePlace: () => () => void;
  /** Who waits while the store is away: `waiter` for a call that is known already, `beginner` for one that is yet to begin. */
  readonly waiter: WaiterOf;
  readonly beginner: WaiterOf;
  /** Whether the client has gone, how to keep its connection alive, and what it hears of the call. */
  readonly client: { readonly gone: Signal; keepAlive(): void } & CallListener;
  readonly log: Logger;
}

/** The round that a client's request answers, of the call with the task `id`. `round` counts from 1; 0: it answers none. */
export interface AnsweredRound {
  readonly id: TaskId;
  readonly round: number;
  /** Whether the call can have no rounds, because a client of 2025-11-25 made it a task. Absent: no. */
  readonly isRoundless?: boolean;
}

/** The pause between tries to store what a call asks, or to make it a task, while the store is away. */
const STORE_RETRY_MS = 250;

export interface ConductorOptions {
  readonly engine: TaskEngine;
  readonly awaitingInput: CallsAwaitingInput;
  /** Aborts when the gateway is about to stop. */
  readonly stopping: AbortSignal;
}

/** Stays with a call until the gateway has an answer for its client. */
export class Conductor {
  readonly #options: ConductorOptions;

  constructor(options: ConductorOptions) {
    this.#options = options;
  }

  /** Starts a new call and stays with it. */
  begin(call: Call, how: Conduct): Promise<CallAnswer> {
    return this.#attend(call.start(), how);
  }

  /** Makes a new call a task before sending it: a call whose record cannot be stored does not begin. @throws StoreUnavailable */
  async beginAsTask(call: Call, how: Conduct): Promise<CallAnswer> {
    const leave = call.attend();
    const answer = await this.#handOver(call, how, leave, how.beginner).catch(givingUp(call)).finally(leave);
    call.start();
    return answer;
  }

  /**
   * As `begin`, for a call whose client may send it again: makes it a task before sending it, or stays with the call that another request
   * with the same idempotency key has made.
   * @param isTask whether the client gets the handle at once
   * @throws HTTP 409 or 422 when the key was used otherwise; StoreUnavailable
   */
  async beginOnce(call: Call, how: Conduct, isTask: boolean): Promise<CallAnswer> {
    const { engine, awaitingInput } = this.#options;
    const task = { ...how.task(), rounds: awaitingInput.newRounds(how.identity) };
    const record = await engine
      .createTask(call, task, how.maxResultBytes, how.beginner)
      .catch(givingUp(call));
    const isOurs = engine.callOf(record.id) === call;
    if (isOurs) call.start();
    else call.cancel("the same call has been made already");
    if (isTask) {
      const leave = call.attend();
      return this.#handOver(call, how, leave).finally(leave);
    }
    const answered = { id: record.id, round: 0, isRoundless: record.rounds === undefined };
    return isOurs ? this.#attend(call, how, answered) : this.#rejoin(answered, how);
  }

  /**
   * Another round of a call awaiting input, with the client's answers.
   * @throws -32602 when the state is not ours, or an answer has the wrong shape; StoreUnavailable
   */
  async resume(requestState: unknown, answers: JsonObject, how: Conduct): Promise<CallAnswer> {
    const { engine, awaitingInput } = this.#options;
    const { identity, waiter } = how;
    const { task, round } = await awaitingInput.resume(requestState, identity, waiter);
    // The client did not get the handle the first time.
    if (await engine.isTold(task.id, waiter)) return { kind: "handle", task };
    await engine.update(task.id, identity, answers, waiter);
    // The key came with the request that made the call.
    const isRepeatable = task.idempotency !== undefined;
    return this.#rejoin({ id: task.id, round }, { ...how, isRepeatable });
  }

  /** Stays with a call that an earlier request began, here or in another gateway. */
  #rejoin(answered: AnsweredRound, how: Conduct): Promise<CallAnswer> {
    const call = this.#options.engine.callOf(answered.id);
    // How such a call ended is for the store to say.
    return call === undefined || call.end !== undefined
      ? this.follow(answered, how)
      : this.#attend(call, how, answered);
  }

  /**
   * A round of a call that runs in another gateway: this one knows only the record. Stays until the call has ended or asks for
   * something, the window is over, or the client has gone.
   */
  async follow(answered: AnsweredRound, how: Conduct): Promise<CallAnswer> {
    const { engine, awaitingInput, stopping } = this.#options;
    const { id, round } = answered;
    const { identity, client, waiter } = how;
    const over = new AbortController();
    const end = () => over.abort();
    const signals = [client.gone, stopping];
    for (const signal of signals) signal.addEventListener("abort", end, { once: true });
    const window = how.mayBecomeTask ? setTimeout(end, how.waitForMs) : undefined;
    client.keepAlive();
    try {
      if (signals.some(({ aborted }) => aborted)) end();
      const view = await follow(engine, id, identity, over.signal, hasNews, waiter);
      if (view?.outcome !== undefined) return fromOutcome(view.outcome);
      const isTasks = how.mayBecomeTask && asksAsTask(answered);
      if (view !== undefined && !isTasks && answered.isRoundless) throw tasksNeeded();
      if (view !== undefined && !isTasks)
        return asking(view.task.inputRequests, awaitingInput.stateOf(view.task, round + 1));
      // The state stays valid, and any other gateway accepts it.
      if (stopping.aborted) return { kind: "error", error: rpc.stopping() };
      if (!client.gone.aborted) {
        const { task } = await engine.get(id, identity, waiter);
        await engine.tell(task, waiter);
        return { kind: "handle", task };
      }
      // Another round may have got the handle: then the task is the client's, though this connection has gone.
      if (!how.isRepeatable && !(await engine.isTold(id))) await engine.cancel(id, identity);
      return GONE;
    } finally {
      clearTimeout(window);
      for (const signal of signals) signal.removeEventListener("abort", end);
    }
  }

  /** Stays with a call until it has ended or asks for something, the window is over, or the client has gone. */
  async #attend(call: Call, how: Conduct, answered?: AnsweredRound): Promise<CallAnswer> {
    const { client, mayBecomeTask, log } = how;
    client.keepAlive();
    const stopTelling = call.listen(client);
    const leave = call.attend();
    const { isPunctual: isWindowFixed = false } = how;
    const { engine, stopping } = this.#options;
    let { waitForMs: windowMs } = how;
    let hurry = isWindowFixed && engine.isLasting ? { hurry: stopping } : {};
    try {
      for (;;) {
        const window = mayBecomeTask ? { windowMs, isWindowFixed, ...hurry } : {};
        const moment = await nextMoment(call, { gone: client.gone, ...window });
        switch (moment === "asked" && mayBecomeTask && asksAsTask(answered) ? "elapsed" : moment) {
          case "gone":
            // When a client repeats a round, both requests wait for the call: cancel it only when the last of them has gone.
            if (leave() && !how.isRepeatable) call.cancel("the client hung up");
            return GONE;
          case "asked":
            if (answered?.isRoundless) throw tasksNeeded();
            try {
              return await this.#hold(call, how, (answered?.round ?? 0) + 1);
            } catch (error) {
              if (!isAway(error)) throw error;
              // The client could not come back to the call, but it still waits here.
              throttled(log).say("warn", { err: error }, "could not store what a call asks; trying again");
              await sleep(STORE_RETRY_MS);
              break;
            }
          case "ended":
            if (call.end?.kind === "handedOff" && answered !== undefined) return this.follow(answered, how);
            return how.isRepeatable && answered !== undefined
              ? this.#stored(answered.id, how)
              : fromEnd(call.end);
          case "elapsed":
            try {
              return await this.#handOver(call, how, leave);
            } catch (error) {
              // Without a store there are no tasks, but this client still waits here; try again soon, so that it waits no longer than it
              // must.
              if (!isAway(error)) throw error;
              throttled(log).say(
                "warn",
                { err: error },
                "could not create a task; the client waits for the result, or for the task once the store takes one",
              );
              windowMs = STORE_RETRY_MS;
              hurry = {};
            }
        }
      }
    } finally {
      // Sessions and streams that are about to be closed know the call for a while yet.
      if (leave()) call.forgetResult();
      stopTelling();
    }
  }

  /** How a call that has just ended here did so, once the store keeps it. @throws HTTP 503 when the store does not */
  async #stored(id: TaskId, { identity, waiter }: Conduct): Promise<CallAnswer> {
    const { engine } = this.#options;
    await engine.ended(id);
    const { outcome } = await engine.get(id, identity, waiter);
    if (outcome === undefined) throw rpc.storeUnavailable();
    return fromOutcome(outcome);
  }

  /** Makes the call a task: the record is durable before the client gets the handle (Tasks §Task Creation). */
  async #handOver(call: Call, how: Conduct, leave: () => boolean, waiter?: WaiterOf): Promise<CallAnswer> {
    const { engine, awaitingInput } = this.#options;
    const task = await engine.createTask(call, how.task(), how.maxResultBytes, waiter);
    // A client that repeats a round must get the same handle; one that sends its call again has no round yet, and has the key.
    const needsNote = !how.isRepeatable || awaitingInput.isAwaited(task.id) || engine.tellsOthers;
    if (task.rounds !== undefined && needsNote) await engine.tell(task);
    if (how.client.gone.aborted) {
      // Nobody knows the task, so nobody can ever ask for it, unless another round gets the same handle.
      if (leave() && !how.isRepeatable) await engine.cancel(task.id, how.identity);
      return GONE;
    }
    awaitingInput.release(call);
    return { kind: "handle", task };
  }

  /** Ends this round with the server's questions. */
  async #hold(call: Call, how: Conduct, round: number): Promise<CallAnswer> {
    const { awaitingInput } = this.#options;
    const { identity, maxResultBytes } = how;
    const asked = call.inputRequests;
    awaitingInput.admit(call, how.takePlace);
    return asking(asked, await awaitingInput.hold(call, identity, how.task(), { maxResultBytes, round }));
  }
}

/** For a call that cannot start after all: ends it unsent, so that it gives back what it took, and throws the error again. */
export function givingUp(call: Call): (error: unknown) => never {
  return (error) => {
    call.cancel("it could not be begun");
    throw error;
  };
}

const GONE: CallAnswer = { kind: "gone" };

function asking(inputRequests: TaskRecord["inputRequests"], requestState: string): CallAnswer {
  return { kind: "asks", inputRequests, requestState };
}

/**
 * Whether the gateway makes the call the client's task before the next question, if the client knows tasks: it has answered many rounds,
 * or there are none.
 */
function asksAsTask(answered: AnsweredRound | undefined): boolean {
  return answered !== undefined && (answered.isRoundless === true || answered.round >= MAX_ROUNDS);
}

function hasNews(view: TaskView): TaskView | undefined {
  const isAsking = Object.values(view.task.inputRequests).some(isModernInput);
  return view.outcome !== undefined || isAsking ? view : undefined;
}

function fromEnd(end: CallEnd | undefined): CallAnswer {
  switch (end?.kind) {
    case "result":
      return end;
    case "error":
      return { kind: "error", error: end.isModern ? fromModernServer(end.error) : fromServer(end.error) };
    case "ours":
      return { kind: "error", error: end.error };
    case "cancelled":
      return { kind: "error", error: rpc.internal(`The call was cancelled: ${end.reason}`) };
    case "handedOff":
      return { kind: "handedOff" };
    case undefined:
      throw new Error("a call that has not ended has no answer");
  }
}

/** The same for a call that ran in another gateway, or that ended some time ago. */
export function fromOutcome(outcome: Outcome): CallAnswer {
  switch (outcome.kind) {
    case "completed":
      return { kind: "result", result: JSON.parse(outcome.result) };
    case "failed":
      if (outcome.isOurs) return { kind: "error", error: new RpcError(outcome.error) };
      return fromEnd({
        kind: "error",
        error: outcome.error,
        ...(outcome.isModern ? { isModern: true } : {}),
      });
    case "cancelled":
      return fromEnd({ kind: "cancelled", reason: outcome.reason ?? "no reason was given" });
    case "lost":
      return { kind: "error", error: rpc.internal(outcome.reason) };
  }
}
