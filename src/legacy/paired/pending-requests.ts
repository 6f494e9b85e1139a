import { type CountedCall, endingOf } from "../../observers/calls/call-counts.ts";
import type { RpcError } from "../../protocol/errors.ts";
import {
  isSameId,
  type JsonRpcRequest,
  type JsonText,
  progressTokenIn,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { errorMessage } from "../../protocol/modern.ts";
import type { ClientEnd } from "./client-end.ts";
import { keep } from "./message-context.ts";

interface Pending {
  readonly progressToken: unknown;
  readonly counted: CountedCall | undefined;
  /** Releases the memory of the request and of its answer. */
  readonly letGo: () => void;
  /** Lets go of the server's answer; present only while the server has the request. */
  stop?: () => void;
}

/** A client's requests without an answer, in the order they came. */
export class PendingRequests {
  readonly #answer: ClientEnd["answer"];
  readonly #pending = new Map<RequestId, Pending>();

  constructor(answer: ClientEnd["answer"]) {
    this.#answer = answer;
  }

  get size(): number {
    return this.#pending.size;
  }

  has(id: RequestId): boolean {
    return this.#pending.has(id);
  }

  add(request: JsonRpcRequest, counted?: CountedCall): void {
    const { id, params } = request;
    this.#pending.set(id, { progressToken: progressTokenIn(params), counted, letGo: keep(request) });
  }

  /** Notes that the server has the request now, until `stop` is called. */
  passed(id: RequestId, stop: () => void): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return stop();
    pending.stop = stop;
    pending.counted?.sent();
  }

  /** The call that a request makes. `undefined`: it makes none, or nobody counts. */
  counted(id: RequestId): CountedCall | undefined {
    return this.#pending.get(id)?.counted;
  }

  /** Answers a request, unless it has been answered. Without a message nobody waits for it any more. */
  answer(id: RequestId, message: JsonText | undefined, refusal?: RpcError): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    pending.counted?.end(message === undefined ? "abandoned" : endingOf(refusal));
    this.#answer(id, message, refusal);
    pending.letGo();
  }

  /** Answers a call with something that is not its result yet. */
  answerForNow(id: RequestId, message: JsonText): void {
    this.#pending.get(id)?.counted?.end("interim");
    this.answer(id, message);
  }

  /** As `answer`, with an error of the gateway's own. */
  refuse(id: RequestId, refusal: RpcError): void {
    this.answer(id, errorMessage(id, refusal), refusal);
  }

  /** Ends a request that the client has cancelled, if the server has it. */
  takeBack(id: RequestId): void {
    const { stop } = this.#pending.get(id) ?? {};
    if (stop === undefined) return;
    stop();
    this.answer(id, undefined);
  }

  /** Ends all requests: with this error, or without an answer if there is none. */
  end(refusal: RpcError | undefined): void {
    for (const [id, { stop }] of [...this.#pending]) {
      stop?.();
      if (refusal === undefined) this.answer(id, undefined);
      else this.refuse(id, refusal);
    }
  }

  /** The request at the server that a server's message is about: the one with its progress token (nothing else tells), or the only one. */
  about(progressToken: unknown): RequestId | undefined {
    const passed = this.#passed();
    const meant = passed.find(([, pending]) => isSameId(progressToken, pending.progressToken));
    if (progressToken !== undefined && meant !== undefined) return meant[0];
    return passed.length === 1 ? passed[0]?.[0] : undefined;
  }

  /** The last request that went to the server. */
  get newest(): RequestId | undefined {
    return this.#passed().at(-1)?.[0];
  }

  #passed(): [RequestId, Pending][] {
    return [...this.#pending].filter(([, { stop }]) => stop !== undefined);
  }
}
