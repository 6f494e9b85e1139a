import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Call } from "../calls/call.ts";
import { rpc } from "../protocol/errors.ts";
import type { JsonObject } from "../protocol/jsonrpc.ts";
import type { Rounds, TaskId, TaskRecord, TaskView } from "../store/task-store.ts";
import type { CallTask, TaskEngine } from "./engine.ts";
import type { WaiterOf } from "./store-wait.ts";

/** What a retry must have in common with the request that it retries (2026-07-28, MRTR §Server Requirements). */
export interface RequestIdentity {
  readonly route: string;
  readonly caller: string;
  readonly method: string;
  /** Without answers, state and `_meta`, which differ between rounds. */
  readonly params: JsonObject;
}

/**
 * How many rounds a client gets before the gateway makes the call a task, if the client knows tasks: the official client ends a
 * call that asks in an eleventh, and a task may ask as often as it likes.
 */
export const MAX_ROUNDS = 8;
/** How long a client may take to answer a round. */
const HELD_MS = 600_000;
/** Tells our states from those of a server that has its own rounds. */
const MARK = "taskgate.";
const STATE = /^taskgate\.(([\w-]{1,128})\.(?:(\d{1,6})-)?[\w-]{1,32})\.([\w-]{43})$/;

/**
 * Calls that wait for their client to come back with answers. Such a call is a task that the client does not know yet: the record
 * is durable before the client gets the question, so that the client may come back to any replica. The `requestState` names the
 * task; the record has the key that signs the state and says to which request of which caller it belongs, so replicas share no
 * secret but the store. Repeating a round finds the call as it is, so nothing runs twice.
 */
export class CallsAwaitingInput {
  readonly #engine: TaskEngine;
  readonly #timers = new Map<TaskId, NodeJS.Timeout>();
  /** The functions that give the calls' places back. */
  readonly #places = new WeakMap<Call, () => void>();

  constructor(engine: TaskEngine) {
    this.#engine = engine;
  }

  /**
   * Takes a place for a call that is to await input, in whatever round, until `release`. Cancels a call that gets no place.
   * @param take returns a function that gives the place back
   * @throws what `take` throws
   */
  admit(call: Call, take: () => () => void): void {
    if (call.end !== undefined || this.#places.has(call)) return;
    try {
      this.#places.set(call, take());
    } catch (error) {
      call.cancel("there is no room to wait for its client");
      throw error;
    }
    call.listen({ onEnd: () => this.release(call) });
  }

  /** Gives back the place of a call that is no longer awaiting input: its client knows it as a task, or it has ended. */
  release(call: Call): void {
    this.#places.get(call)?.();
    this.#places.delete(call);
  }

  /**
   * Holds a call, and gives the state with which its client finds it again. The call's current questions are durable then.
   * @param round the number of this round, from 1
   * @throws StoreUnavailable; the call goes on
   */
  async hold(
    call: Call,
    identity: RequestIdentity,
    task: CallTask,
    { maxResultBytes, round }: { readonly maxResultBytes: number; readonly round: number },
  ): Promise<string> {
    const rounds = this.newRounds(identity);
    const record = await this.#engine.createTask(call, { ...task, rounds }, maxResultBytes);
    await this.#engine.publish(record.id);
    if (call.end === undefined) this.#wait(call, record.id);
    return this.stateOf(record, round);
  }

  /** What a new call of this client needs for further rounds. */
  newRounds(identity: RequestIdentity): Rounds {
    return { request: digest(identity), key: randomBytes(32).toString("base64url") };
  }

  /**
   * The state for another round, wherever the call runs. Each round has a different state, as clients may expect.
   * @param number how many rounds there have been, this one included
   */
  stateOf({ id, rounds }: TaskRecord, number: number): string {
    if (rounds === undefined) throw new Error("the call cannot have further rounds");
    const round = `${id}.${number}-${randomBytes(6).toString("base64url")}`;
    return `${MARK}${round}.${signature(round, rounds)}`;
  }

  /**
   * The task of the call that a retry belongs to, and the number of the round that the retry answers.
   * @throws -32602 when the state is not ours, has expired, or belongs to another caller or request
   * @throws StoreUnavailable
   */
  async resume(
    requestState: unknown,
    identity: RequestIdentity,
    waiter?: WaiterOf,
  ): Promise<TaskView & { readonly round: number }> {
    const state = readState(requestState);
    const view = state && (await this.#engine.seek(state.id, identity, waiter));
    const rounds = view?.task.rounds;
    if (view === undefined || rounds?.request !== digest(identity) || !isSigned(state, rounds)) {
      const { route, caller } = identity;
      // When there is no task, `seek` has reported the refusal.
      if (view !== undefined)
        this.#engine.report({ kind: "refused", route, caller, task: view.task.id, reason: "foreign state" });
      throw rpc.invalidRequestState();
    }
    return { ...view, round: state?.number ?? 1 };
  }

  /** Whether a state belongs to a call of this gateway, whichever request it was made for. @throws StoreUnavailable */
  async isOurs(requestState: unknown, waiter?: WaiterOf): Promise<boolean> {
    const state = readState(requestState);
    return state !== undefined && (await this.#engine.exists(state.id, waiter));
  }

  /** Whether a call of this process has awaited input. */
  isAwaited(id: TaskId): boolean {
    return this.#timers.has(id);
  }

  close(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Cancels the call unless its client answers in time, here or in a round at another replica; so for every later question. */
  #wait(call: Call, id: TaskId): void {
    const isNew = !this.#timers.has(id);
    this.#arm(call, id);
    if (!isNew) return;
    call.listen({
      onQuestions: () => (call.isAsking ? this.#arm(call, id) : clearTimeout(this.#timers.get(id))),
      onEnd: () => this.#stopWaiting(id),
    });
  }

  #arm(call: Call, id: TaskId): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.set(
      id,
      setTimeout(() => void this.#giveUp(call, id), HELD_MS),
    );
  }

  #stopWaiting(id: TaskId): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
  }

  async #giveUp(call: Call, id: TaskId): Promise<void> {
    // A task that the client knows may wait for answers for as long as it runs.
    const isTold = await this.#engine.isTold(id).catch(() => true);
    if (!isTold) call.cancel("the client did not come back with an answer");
  }
}

/** Whether a `requestState` looks like one of a gateway's, by whichever replica and however old. */
export function isOurState(requestState: unknown): requestState is string {
  return typeof requestState === "string" && requestState.startsWith(MARK);
}

interface State {
  readonly id: TaskId;
  /** The part that the gateway signs. */
  readonly round: string;
  readonly number: number;
  readonly signature: string;
}

function readState(requestState: unknown): State | undefined {
  const [, round, id, number = "1", signature] =
    (typeof requestState === "string" && STATE.exec(requestState)) || [];
  if (round === undefined || id === undefined || signature === undefined) return undefined;
  return { id, round, number: Number(number), signature };
}

function isSigned(state: State | undefined, rounds: Rounds): boolean {
  if (state === undefined) return false;
  return timingSafeEqual(Buffer.from(state.signature), Buffer.from(signature(state.round, rounds)));
}

function signature(round: string, { key }: Rounds): string {
  return createHmac("sha256", key).update(round).digest("base64url");
}

function digest({ route, caller, method, params }: RequestIdentity): string {
  return createHash("sha256")
    .update(JSON.stringify([route, caller, method, params]))
    .digest("base64url");
}
