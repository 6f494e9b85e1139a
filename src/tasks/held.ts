import { createHash, randomBytes } from "node:crypto";
import { createRequestStateCodec, type RequestStateCodec } from "@modelcontextprotocol/server";
import { rpc } from "../protocol/errors.ts";
import { type JsonObject, toJson } from "../protocol/jsonrpc.ts";
import type { TaskId } from "../stores/task-store.ts";
import type { Call } from "./call.ts";
import type { CallEnd } from "./call-end.ts";

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

/** What a client comes back for: its call, or the task that the call has become. */
export type Held = { readonly call: Call } | { readonly taskId: TaskId };

interface Entry {
  held: Held;
  rounds: number;
  timer: NodeJS.Timeout;
}

/** How long a client may take to answer a round, and to ask again for an answer that it did not get. */
const HELD_MS = 600_000;
const KEPT_AFTER_END_MS = 60_000;
/** Tells our states from those of a server that has rounds of its own. */
const MARK = "taskgate.";
/** What has ended is kept for the client's convenience only: so many calls, with so much in their results. */
const MAX_SETTLED = 1_000;
const MAX_SETTLED_CHARACTERS = 67_108_864;

/**
 * Calls that wait for their client to come back with answers. The client's `requestState` names the call, sealed to the
 * caller and to the request; repeating a round finds the call as it is, so nothing is done twice.
 */
export class HeldCalls {
  readonly #codec: RequestStateCodec<Sealed> = createRequestStateCodec<Sealed>({
    key: randomBytes(32),
    ttlSeconds: HELD_MS / 1_000,
  });
  readonly #entries = new Map<string, Entry>();
  /** What is kept only in case the client lost our answer, oldest first, with the size of the result. */
  readonly #settled = new Map<string, number>();
  #settledCharacters = 0;

  /** Keeps a call, and gives the state with which its client will find it again. */
  async hold(call: Call, identity: RequestIdentity): Promise<string> {
    const known = this.#entries.get(call.id);
    if (known === undefined) call.listen({ onEnd: (end) => this.#settle(call.id, sizeOf(end)) });
    const round = (known?.rounds ?? 0) + 1;
    this.#keep(call.id, { call }, round, HELD_MS);
    return `${MARK}${await this.#codec.mint({ call: call.id, identity: digest(identity), round })}`;
  }

  /**
   * What a retry belongs to.
   * @throws -32602 when the state was not made here, has expired, or belongs to another caller or request
   */
  async resume(requestState: unknown, identity: RequestIdentity): Promise<Held> {
    const sealed = await this.#open(requestState);
    const entry = sealed?.identity === digest(identity) ? this.#entries.get(sealed.call) : undefined;
    if (entry === undefined) throw rpc.invalidRequestState();
    return entry.held;
  }

  /** Whether a state was made by this process, whatever it was made for. */
  async isMine(requestState: unknown): Promise<boolean> {
    return (await this.#open(requestState)) !== undefined;
  }

  /** A held call has become a task: whoever repeats the round is to get the same handle. */
  becomes(call: Call, taskId: TaskId): void {
    const entry = this.#entries.get(call.id);
    if (entry === undefined) return;
    this.#keep(call.id, { taskId }, entry.rounds, KEPT_AFTER_END_MS);
    this.#settle(call.id, 0);
  }

  close(): void {
    for (const { held } of this.#entries.values()) {
      if ("call" in held) held.call.cancel("the gateway is stopping");
    }
    // Last, since a call that ends is kept for a while.
    for (const { timer } of this.#entries.values()) clearTimeout(timer);
    this.#entries.clear();
    this.#settled.clear();
  }

  async #open(requestState: unknown): Promise<Sealed | undefined> {
    if (!isOurState(requestState)) return undefined;
    // The codec's context is for bindings of its own, and we have none: what the state is bound to is sealed within.
    return this.#codec.verify(requestState.slice(MARK.length), undefined as never).catch(() => undefined);
  }

  #keep(id: string, held: Held, rounds: number, ms: number): void {
    clearTimeout(this.#entries.get(id)?.timer);
    this.#entries.set(id, { held, rounds, timer: setTimeout(() => this.#release(id), ms) });
  }

  #settle(id: string, characters: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined || this.#settled.has(id)) return;
    this.#keep(id, entry.held, entry.rounds, KEPT_AFTER_END_MS);
    this.#settled.set(id, characters);
    this.#settledCharacters += characters;
    for (const oldest of this.#settled.keys()) {
      if (this.#settled.size <= MAX_SETTLED && this.#settledCharacters <= MAX_SETTLED_CHARACTERS) return;
      this.#release(oldest);
    }
  }

  #release(id: string): void {
    const entry = this.#entries.get(id);
    clearTimeout(entry?.timer);
    this.#entries.delete(id);
    this.#settledCharacters -= this.#settled.get(id) ?? 0;
    this.#settled.delete(id);
    if (entry !== undefined && "call" in entry.held)
      entry.held.call.cancel("the client did not come back with an answer");
  }
}

/** Whether a `requestState` looks like one of the gateway's, by whichever replica and however long ago. */
export function isOurState(requestState: unknown): requestState is string {
  return typeof requestState === "string" && requestState.startsWith(MARK);
}

function sizeOf(end: CallEnd): number {
  return end.kind === "result" ? toJson(end.result).length : 0;
}

function digest({ route, caller, method, params }: RequestIdentity): string {
  return createHash("sha256")
    .update(JSON.stringify([route, caller, method, params]))
    .digest("base64url");
}
