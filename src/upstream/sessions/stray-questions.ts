import type { JsonRpcRequest, RequestId } from "../../protocol/jsonrpc.ts";
import { isSameId } from "../../protocol/jsonrpc.ts";

/** What a question that waits in a session needs to know of the session. */
export interface AskedSession {
  readonly isUsable: boolean;
  /** The gateway's request in the session that has waited longest for its answer. */
  readonly oldestRequest: RequestId | undefined;
  /** Answers the question with an error. */
  refuse(question: JsonRpcRequest): void;
}

export interface StrayQuestionsOptions {
  /** Whether a call or a client's session is under way at the server. */
  readonly isInUse: () => boolean;
  /** How long a question waits if the gateway has no client to ask: a client that reaches the server without the gateway may answer it. */
  readonly graceMs?: number;
  /** How long a request of the session may wait beside a question: then the server seems to wait for the answer to the question first. */
  readonly ownGraceMs?: number;
}

const GRACE_MS = 60_000;
const OWN_GRACE_MS = 2_000;
const LOOK_MS = 250;
/** More questions are refused at once: a server that asks without end must not fill the gateway's memory. */
const MAX_WAITING = 256;

interface Stray {
  readonly question: JsonRpcRequest;
  readonly session: AskedSession;
  readonly since: number;
  /** The request that has waited beside the question, and since when. */
  blocked: { readonly id: RequestId; readonly since: number } | undefined;
}

/**
 * Questions of the server in sessions without a call. Some servers ask all sessions what one of them shall answer, and take the first
 * answer: refusing at once would answer in the place of a client that is still thinking.
 */
export class StrayQuestions {
  readonly #options: Required<StrayQuestionsOptions>;
  readonly #waiting = new Set<Stray>();
  #looking: NodeJS.Timeout | undefined;

  constructor(options: StrayQuestionsOptions) {
    this.#options = { graceMs: GRACE_MS, ownGraceMs: OWN_GRACE_MS, ...options };
  }

  add(question: JsonRpcRequest, session: AskedSession): void {
    if (this.#waiting.size >= MAX_WAITING) return session.refuse(question);
    this.#waiting.add({ question, session, since: performance.now(), blocked: undefined });
    this.#looking ??= setInterval(() => this.#look(performance.now()), LOOK_MS).unref();
  }

  /** Call this when the server cancels its question. */
  withdraw(id: unknown, session: AskedSession): void {
    for (const stray of this.#waiting)
      if (stray.session === session && isSameId(id, stray.question.id)) this.#waiting.delete(stray);
  }

  close(): void {
    this.#waiting.clear();
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  #look(now: number): void {
    for (const stray of this.#waiting) {
      const { question, session } = stray;
      if (session.isUsable && !this.#isDue(stray, now)) continue;
      this.#waiting.delete(stray);
      if (session.isUsable) session.refuse(question);
    }
    if (this.#waiting.size === 0) this.close();
  }

  #isDue(stray: Stray, now: number): boolean {
    const { graceMs, ownGraceMs, isInUse } = this.#options;
    const id = stray.session.oldestRequest;
    if (id !== stray.blocked?.id) stray.blocked = id === undefined ? undefined : { id, since: now };
    if (stray.blocked !== undefined && now - stray.blocked.since >= ownGraceMs) return true;
    return !isInUse() && now - stray.since >= graceMs;
  }
}
