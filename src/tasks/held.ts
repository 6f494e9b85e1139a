import { createHash, randomBytes } from "node:crypto";
import { createRequestStateCodec, type RequestStateCodec } from "@modelcontextprotocol/server";
import { rpc } from "../protocol/errors.ts";
import type { JsonObject } from "../protocol/jsonrpc.ts";
import type { TaskId } from "../stores/task-store.ts";
import type { Call } from "./call.ts";

/** What a retry must have in common with the request that it retries (2026-07-28, MRTR §Server Requirements). */
export interface RequestIdentity {
  readonly route: string;
  readonly caller: string;
  readonly method: string;
  /** Without answers, state and `_meta`, which differ from round to round. */
  readonly params: JsonObject;
}

interface Sealed {
  readonly call: string;
  readonly identity: string;
  /** Makes the state of every round another one, as clients may expect; any of them finds the call. */
  readonly round: number;
}

/** A call that its client will come back for, and the task that it has become if it has. */
export interface Held {
  readonly call: Call;
  taskId?: TaskId;
  rounds: number;
}

/** How long a client may take to answer a round, and to ask again for an answer that it did not get. */
const HELD_MS = 600_000;
const KEPT_AFTER_END_MS = 60_000;
/** What has ended is kept for the client's convenience only. */
const MAX_SETTLED = 1_000;

/**
 * Calls that wait for their client to come back with answers. The client's `requestState` names the call, sealed to the
 * caller and to the request; repeating a round finds the call as it is, so nothing is done twice.
 */
export class HeldCalls {
  readonly #codec: RequestStateCodec<Sealed> = createRequestStateCodec<Sealed>({
    key: randomBytes(32),
    ttlSeconds: HELD_MS / 1_000,
  });
  readonly #held = new Map<string, Held>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** What is kept only in case the client lost our answer, oldest first. */
  readonly #settled = new Set<string>();

  /** Keeps a call, and gives the state with which its client will find it again. */
  async hold(call: Call, identity: RequestIdentity): Promise<string> {
    const held = this.#held.get(call.id) ?? { call, rounds: 0 };
    if (held.rounds === 0) call.listen({ onEnd: () => this.#settle(call.id) });
    held.rounds += 1;
    this.#held.set(call.id, held);
    this.#keepFor(call.id, HELD_MS);
    return this.#codec.mint({ call: call.id, identity: digest(identity), round: held.rounds });
  }

  /**
   * The call that a retry belongs to.
   * @throws -32602 when the state was not made here, has expired, or belongs to another caller or request
   */
  async resume(requestState: unknown, identity: RequestIdentity): Promise<Held> {
    if (typeof requestState !== "string") throw rpc.invalidRequestState();
    // The codec's context is for bindings of its own, and we have none: what the state is bound to is sealed within.
    const sealed = await this.#codec.verify(requestState, undefined as never).catch(() => undefined);
    const held = sealed?.identity === digest(identity) ? this.#held.get(sealed.call) : undefined;
    if (held === undefined) throw rpc.invalidRequestState();
    return held;
  }

  /** A held call has become a task: whoever repeats the round is to get the same handle. */
  becomes(call: Call, taskId: TaskId): void {
    const held = this.#held.get(call.id);
    if (held === undefined) return;
    held.taskId = taskId;
    this.#settle(call.id);
  }

  close(): void {
    for (const { call, taskId } of this.#held.values()) {
      if (taskId === undefined) call.cancel("the gateway is stopping");
    }
    // Last, since a call that ends is kept for a while.
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#held.clear();
    this.#settled.clear();
  }

  #settle(id: string): void {
    this.#keepFor(id, KEPT_AFTER_END_MS);
    this.#settled.add(id);
    const [oldest] = this.#settled;
    if (this.#settled.size > MAX_SETTLED && oldest !== undefined) this.#release(oldest);
  }

  #keepFor(id: string, ms: number): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.set(
      id,
      setTimeout(() => this.#release(id), ms),
    );
  }

  #release(id: string): void {
    const held = this.#held.get(id);
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    this.#held.delete(id);
    this.#settled.delete(id);
    if (held?.taskId === undefined) held?.call.cancel("the client did not come back with an answer");
  }
}

function digest({ route, caller, method, params }: RequestIdentity): string {
  return createHash("sha256")
    .update(JSON.stringify([route, caller, method, params]))
    .digest("base64url");
}
