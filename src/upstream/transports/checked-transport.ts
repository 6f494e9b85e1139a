import type { Logger } from "pino";
import {
  type JsonRpcMessage,
  type JsonRpcNotification,
  type JsonRpcRequest,
  type JsonRpcResponse,
  numberIn,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { type UpstreamFailure, unusableAnswer, warnOfUnusable } from "../failure.ts";
import { wasGiven } from "../request-ids.ts";
import type { Asking, AskListener, PickUp, RawTransport, Stream, Transport } from "./transport.ts";
import { shown, type UnusableAnswer } from "./unusable-answer.ts";

interface Asked {
  readonly method: string;
  readonly fail: (failure: UpstreamFailure) => void;
}

/** How many finished requests are remembered, so that a late or repeated answer to one is not taken for the answer to another. */
const MAX_REMEMBERED = 1_000;

/**
 * A transport that fails a request whose answer has arrived in an unusable form, instead of letting it wait: an answer that can only belong to
 * that request ends it. Answers are passed on under the request's id, even if the server turned the number into a string.
 */
export class CheckedTransport implements Transport {
  onMessage: Transport["onMessage"] = () => {};
  onGarbage: Transport["onGarbage"] = () => {};
  onLost: Transport["onLost"] = () => {};

  readonly #transport: RawTransport;
  readonly #log: Logger;
  /** Requests that have no answer yet. */
  readonly #asked = new Map<RequestId, Asked>();
  readonly #over = new Set<RequestId>();

  constructor(transport: RawTransport, log: Logger) {
    this.#transport = transport;
    this.#log = log;
    transport.onMessage = (message, stream = "shared") => this.#receive(message, stream);
    transport.onUnusable = (answer, stream = "shared") => this.#refuse(answer, stream);
    transport.onGarbage = (error) => this.onGarbage(error);
    transport.onLost = () => this.onLost();
  }

  tell(message: JsonRpcMessage): Promise<void> {
    return this.#transport.tell(message);
  }

  ask(request: JsonRpcRequest, listener?: AskListener): Asking {
    return this.#watched(request.id, request.method, () => this.#transport.ask(request, listener));
  }

  get pickUp(): PickUp | undefined {
    const { pickUp } = this.#transport;
    if (pickUp === undefined) return undefined;
    return {
      listen: () => pickUp.listen(),
      resume: (answerTo, ...place) =>
        this.#watched(answerTo, "resumed", () => pickUp.resume(answerTo, ...place)),
    };
  }

  setProtocolVersion(version: string): void {
    this.#transport.setProtocolVersion(version);
  }

  initialized(notification?: JsonRpcNotification): Promise<void> {
    return this.#transport.initialized(notification);
  }

  hearChanges(): () => void {
    return this.#transport.hearChanges?.() ?? (() => {});
  }

  signal(signal: NodeJS.Signals): void {
    this.#transport.signal?.(signal);
  }

  close(state?: "handedOff"): Promise<void> {
    return this.#transport.close(state);
  }

  #watched(id: RequestId, method: string, ask: () => Asking): Asking {
    let stop = () => {};
    const ended = new Promise<void>((resolve, reject) => {
      this.#asked.set(id, { method, fail: reject });
      const asking = ask();
      stop = () => {
        this.#forget(id);
        asking.stop();
      };
      asking.ended.then(resolve, reject);
    });
    return { ended, stop };
  }

  #receive(message: JsonRpcMessage, stream: Stream): void {
    if ("method" in message) return this.onMessage(message);
    const id = this.#askedAs(message.id);
    if (id === undefined) return this.#stray(message.id, stream, "");
    this.onMessage(message.id === id ? message : ({ ...message, id } as JsonRpcResponse));
  }

  #refuse({ id, why, isUncertain, isMisnamed }: UnusableAnswer, stream: Stream): void {
    const named = this.#askedAs(id);
    if (named !== undefined) return this.#fail(named, why);
    if (isMisnamed || (isUncertain && typeof stream !== "object")) return this.#skip(why);
    this.#stray(id, stream, why);
  }

  /** Handles an answer whose id belongs to no open request. */
  #stray(id: RequestId | undefined, stream: Stream, why: string): void {
    const meant = this.#meant(id, stream);
    if (meant === undefined)
      return this.#skip(why || `it answers ${shown(id)}, which is no request under way`);
    this.#fail(meant, id === undefined ? why : `its id is ${shown(id)}, expected ${shown(meant)}`);
  }

  /** The only open request that the answer can belong to. */
  #meant(id: RequestId | undefined, stream: Stream): RequestId | undefined {
    if (stream === "aside") return undefined;
    if (stream !== "shared") {
      const { answerTo, isResumed = false } = stream;
      return this.#asked.has(answerTo) && !(isResumed && id !== undefined) ? answerTo : undefined;
    }
    // The id may be that of a finished request (a late or repeated answer), and some servers send one session's answers to all sessions.
    if (id !== undefined && [id, numberIn(id) ?? id].some((one) => this.#over.has(one) || wasGiven(one)))
      return undefined;
    const [only, ...others] = this.#asked.keys();
    return others.length === 0 ? only : undefined;
  }

  #askedAs(id: RequestId | undefined): RequestId | undefined {
    if (id === undefined || this.#asked.has(id)) return id;
    const number = numberIn(id);
    return number !== undefined && this.#asked.has(number) ? number : undefined;
  }

  #fail(id: RequestId, why: string): void {
    const { method, fail } = this.#asked.get(id) as Asked;
    this.#forget(id);
    warnOfUnusable(this.#log, method, why);
    fail(unusableAnswer(why));
  }

  #skip(why: string): void {
    this.onGarbage(new Error(`an answer that is none to any request: ${why}`));
  }

  #forget(id: RequestId): void {
    if (!this.#asked.delete(id)) return;
    this.#over.add(id);
    const [oldest] = this.#over;
    if (this.#over.size > MAX_REMEMBERED && oldest !== undefined) this.#over.delete(oldest);
  }
}
