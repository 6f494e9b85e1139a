import { OwnSignal, type Signal } from "../lib/signal.ts";
import type { RpcError } from "../protocol/errors.ts";
import { type JsonRpcNotification, type JsonText, type RequestId, toJson } from "../protocol/jsonrpc.ts";
import { errorMessage, resultMessage } from "../protocol/modern.ts";
import type { Reply } from "../requests/request.ts";
import { type ClientOutput, Teller } from "./client-output.ts";

export interface LineReplyOptions {
  readonly id: RequestId;
  readonly output: ClientOutput;
  /** Whether the request is `subscriptions/listen`, whose end takes two messages. */
  readonly isSubscription: boolean;
  /** Called once, when the request is over, with or without an answer, and its id may be used again. */
  readonly onOver: () => void;
}

/** The answer to one request, on the stream that all requests share (2026-07-28, stdio §Receiving Messages). */
export class LineReply implements Reply {
  readonly readsStreams = true;
  readonly #options: LineReplyOptions;
  readonly #gone = new OwnSignal();
  readonly #teller: Teller;
  #isOver = false;

  constructor(options: LineReplyOptions) {
    this.#options = options;
    this.#teller = new Teller(options.output);
  }

  get isSubscription(): boolean {
    return this.#options.isSubscription;
  }

  get gone(): Signal {
    return this.#gone;
  }

  result(result: JsonText): void {
    const { id, output, isSubscription } = this.#options;
    if (this.#isOver) return;
    this.#end(resultMessage(id, result));
    // The result says that the subscription ended well, this notification that it ended (2026-07-28, Cancellation, Subscriptions
    // §Cancellation).
    if (isSubscription) output.write(cancelled(id));
  }

  error(error: RpcError): void {
    this.#end(errorMessage(this.#options.id, error));
  }

  notify(message: JsonRpcNotification | JsonText): boolean {
    return !this.#isOver && this.#teller.tell(typeof message === "string" ? message : toJson(message));
  }

  acknowledge(): void {
    this.#over();
  }

  drop(): void {
    this.#over();
  }

  /** The stream is open already. */
  open(): void {}

  /** A pipe has no intermediary that could time out. */
  keepAlive(): void {}

  drained(): Promise<void> {
    return this.#options.output.drained();
  }

  /** The client cancelled the request, and gets no further message about it (2026-07-28, stdio §Cancellation). */
  cancel(reason: Error): void {
    if (this.#isOver) return;
    this.#over();
    this.#gone.abort(reason);
  }

  #end(message: JsonText): void {
    if (this.#isOver) return;
    this.#over();
    this.#options.output.write(message);
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.onOver();
  }
}

function cancelled(requestId: RequestId): JsonText {
  return toJson({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId } });
}
