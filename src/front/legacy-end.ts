import { randomUUID } from "node:crypto";
import type { ClientEnd } from "../lanes/client-end.ts";
import type { Caller, Route } from "../lanes/lane.ts";
import { countMessage } from "../lanes/message-bytes.ts";
import { PairedSession } from "../lanes/paired-session.ts";
import type { JsonRpcMessage, JsonText, RequestId } from "../protocol/jsonrpc.ts";
import type { SharedBytes } from "../quotas/bytes.ts";
import { type ClientOutput, Teller } from "./client-output.ts";

export interface LegacyEndOptions {
  readonly route: Route;
  readonly caller: Caller;
  readonly output: ClientOutput;
  /** Called when a request has got its answer, or never will. */
  readonly onAnswered: () => void;
  /** Called when the session is over although the client is still there: the server has gone, or did not take it. */
  readonly onOver: () => void;
}

/** Of a session nothing should be missed, so there is more room than for the notifications of one request. */
const MAX_BEHIND_CHARS = 16 * 1_048_576;

/** The one session that a client of an older revision has over stdio (2025-11-25, Transports §stdio). */
export class LegacyEnd implements ClientEnd {
  readonly #options: LegacyEndOptions;
  readonly #pair: PairedSession;
  /** How to let go of the memory that each takes. */
  readonly #unanswered = new Map<RequestId, () => void>();
  readonly #teller: Teller;
  #isLeft = false;

  constructor(options: LegacyEndOptions) {
    this.#options = options;
    const { route, caller, output } = options;
    const onCaughtUp = () => this.#pair.catchUp();
    this.#teller = new Teller(output, { maxBehindChars: MAX_BEHIND_CHARS, onCaughtUp });
    this.#pair = new PairedSession({ route, caller, id: randomUUID(), client: this });
  }

  /** Whether the client waits for an answer. */
  get isWaiting(): boolean {
    return this.#unanswered.size > 0;
  }

  /** Takes what the client sent, in its order. */
  receive(message: JsonRpcMessage, held: SharedBytes): void {
    if ("method" in message && "id" in message && !this.#unanswered.has(message.id))
      this.#unanswered.set(message.id, held.share());
    countMessage(message, held);
    void this.#pair.receive(message);
  }

  send(message: JsonText): boolean {
    return this.#teller.tell(message);
  }

  /** Everything is said on one stream. */
  isReached(): boolean {
    return true;
  }

  answer(id: RequestId, message: JsonText | undefined): void {
    this.#unanswered.get(id)?.();
    this.#unanswered.delete(id);
    if (message !== undefined) this.#options.output.write(message);
    this.#options.onAnswered();
  }

  close(): void {
    this.#forget();
    this.#options.onAnswered();
    if (!this.#isLeft) this.#options.onOver();
  }

  /** The client has gone: calls that have become tasks may end. */
  retire(): void {
    this.#isLeft = true;
    this.#forget();
    this.#pair.retire();
  }

  /** Settles when nothing of the session is left at the server. */
  end(): Promise<void> {
    this.#isLeft = true;
    return this.#pair.close();
  }

  /** None of them is going to be answered. */
  #forget(): void {
    for (const letGo of this.#unanswered.values()) letGo();
    this.#unanswered.clear();
  }
}
