import { randomUUID } from "node:crypto";
import type { ClientEnd } from "../legacy/paired/client-end.ts";
import type { NewPair } from "../legacy/paired/http-session.ts";
import { countMessage } from "../legacy/paired/message-context.ts";
import type { PairedSession } from "../legacy/paired/session.ts";
import type { SharedBytes } from "../limits/bytes.ts";
import { isRequest, type JsonRpcMessage, type JsonText, type RequestId } from "../protocol/jsonrpc.ts";
import type { Identified } from "../requests/request.ts";
import { type ClientOutput, Teller } from "./client-output.ts";

export interface LegacyEndOptions {
  readonly who: Identified;
  readonly newPair: NewPair;
  readonly output: ClientOutput;
  /** Called when a request has its answer, or never will. */
  readonly onAnswered: () => void;
  /** Called when the session is over but the client is still there: the server has gone, or did not accept the session. */
  readonly onOver: () => void;
}

/** A client should miss nothing of its session, so the limit is higher than for the notifications of one request. */
const MAX_BEHIND_CHARS = 16 * 1_048_576;

/** The one session of a client of an older revision over stdio (2025-11-25, Transports §stdio). */
export class LegacyEnd implements ClientEnd {
  readonly #options: LegacyEndOptions;
  readonly #pair: PairedSession;
  /** For each unanswered request, how to release the memory that it holds. */
  readonly #unanswered = new Map<RequestId, () => void>();
  readonly #teller: Teller;
  #isLeft = false;

  constructor(options: LegacyEndOptions) {
    this.#options = options;
    const { who, output } = options;
    const onCaughtUp = () => this.#pair.catchUp();
    this.#teller = new Teller(output, { maxBehindChars: MAX_BEHIND_CHARS, onCaughtUp });
    this.#pair = options.newPair({ who, id: randomUUID(), client: this });
  }

  get isWaiting(): boolean {
    return this.#unanswered.size > 0;
  }

  /** Takes the client's messages, in the order in which it sent them. */
  receive(message: JsonRpcMessage, held: SharedBytes): void {
    if (isRequest(message) && !this.#unanswered.has(message.id))
      this.#unanswered.set(message.id, held.share());
    countMessage(message, held);
    void this.#pair.receive(message);
  }

  send(message: JsonText): boolean {
    return this.#teller.tell(message);
  }

  /** Everything goes over one stream. */
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

  /** Call this when the client has gone: calls that have become tasks may finish. */
  retire(): void {
    this.#isLeft = true;
    this.#forget();
    this.#pair.retire();
  }

  /** Ends the session. Settles when nothing of it is left at the server. */
  end(): Promise<void> {
    this.#isLeft = true;
    return this.#pair.close();
  }

  /** No unanswered request will get an answer. */
  #forget(): void {
    for (const letGo of this.#unanswered.values()) letGo();
    this.#unanswered.clear();
  }
}
