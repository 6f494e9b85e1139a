import { type RpcError, rpc } from "../../protocol/errors.ts";
import { EventBoundary, EventSplitter, readEvent, toEvent } from "../../protocol/event-stream.ts";
import { isObject, isRequestId, parseJson, type RequestId } from "../../protocol/jsonrpc.ts";
import { errorMessage } from "../../protocol/modern.ts";
import type { AnswerHead, Filter } from "../reverse-proxy.ts";

/** A longer event counts as the answer, if it is complete. */
const MAX_EVENT_BYTES = 1_048_576;
const NOTHING = Buffer.alloc(0);
/**
 * Ends an incomplete event, under a name that no client listens to: half a message would be none, and the name of an event counts wherever
 * it stands in it (HTML Standard, Server-sent events §Interpreting an event stream).
 */
const END_OF_BROKEN_EVENT = "\nevent: incomplete\n\n";

/**
 * Ends a server's event stream with an error for each request that the server has not answered. Clients do not notice such an end: each
 * waits for its own timeout. A stream with event ids stays as it is, because its client comes back with the last of them.
 * @param next a further filter for the stream; undefined: none
 * @param message the request, or batch, that the stream answers
 * @param isStopping whether it is the gateway that ends the stream
 * @returns `next` itself when there is no request, or the answer is no stream that can be added to
 */
export function withUnanswered(
  next: Filter | undefined,
  head: AnswerHead,
  message: unknown,
  isStopping: () => boolean,
): Filter | undefined {
  const ids = requestIds(message);
  if (ids.size === 0 || head.status !== 200) return next;
  const answers = new AnswerWatch(ids);
  const end = () => answers.missing(() => (isStopping() ? rpc.stopped() : rpc.unanswered()));
  return {
    take: (chunk) => {
      answers.look(chunk);
      return next?.take(chunk) ?? chunk;
    },
    finish: () => Buffer.concat([next?.finish() ?? NOTHING, end() ?? NOTHING]),
    cutOff: end,
  };
}

function requestIds(message: unknown): Map<string, RequestId> {
  const messages = Array.isArray(message) ? message : [message];
  return new Map(
    messages.flatMap((each) =>
      isObject(each) && typeof each.method === "string" && isRequestId(each.id)
        ? [[String(each.id), each.id] as const]
        : [],
    ),
  );
}

/** Watches which requests a stream answers. */
class AnswerWatch {
  /** By their text: clients take `"1"` for the answer to `1`. */
  readonly #unanswered: Map<string, RequestId>;
  readonly #boundary = new EventBoundary();
  #splitter: EventSplitter | undefined = new EventSplitter(MAX_EVENT_BYTES);
  #isResumable = false;

  constructor(ids: Map<string, RequestId>) {
    this.#unanswered = ids;
  }

  look(chunk: Buffer): void {
    this.#boundary.take(chunk);
    if (this.#splitter === undefined) return;
    for (const event of this.#splitter.push(chunk)) this.#lookAt(event);
    const isKnown = this.#unanswered.size === 0 || this.#isResumable || this.#splitter.isOverrun;
    // Nothing is left to look for, or can be found any more.
    if (isKnown) this.#splitter = undefined;
  }

  /** The errors for the end of the stream; `undefined`: none. @param errorNow makes the error, which most streams do not need */
  missing(errorNow: () => RpcError): Buffer | undefined {
    const isOverrun = this.#splitter === undefined && this.#unanswered.size > 0;
    const isWhole = this.#boundary.isBetweenEvents;
    if (this.#unanswered.size === 0 || this.#isResumable || (isOverrun && isWhole)) return undefined;
    // The client also comes back with an id from an incomplete event.
    if (this.#splitter !== undefined && isNamed(readEvent(this.#splitter.rest()).id)) return undefined;
    const error = errorNow();
    const events = [...this.#unanswered.values()].map((id) => toEvent(errorMessage(id, error)));
    return Buffer.from((isWhole ? "" : END_OF_BROKEN_EVENT) + events.join(""));
  }

  #lookAt(event: Buffer): void {
    if (event.length > MAX_EVENT_BYTES) return;
    const { event: name, data, id } = readEvent(event);
    if (isNamed(id)) this.#isResumable = true;
    if (name !== "message" || data === undefined) return;
    const said = parseJson(data);
    for (const message of Array.isArray(said) ? said : [said]) {
      if (isObject(message) && message.method === undefined && isRequestId(message.id))
        this.#unanswered.delete(String(message.id));
    }
  }
}

/** With an empty id a server says that there is none (HTML Standard, Server-sent events). */
function isNamed(id: string | undefined): boolean {
  return id !== undefined && id !== "";
}
