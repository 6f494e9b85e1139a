import { rpc } from "../protocol/errors.ts";
import { EventBoundary, EventSplitter, readEvent, toEvent } from "../protocol/event-stream.ts";
import { isObject, isRequestId, parseJson, type RequestId } from "../protocol/jsonrpc.ts";
import { errorMessage } from "../protocol/modern.ts";
import type { AnswerHead, Passage } from "./transparent.ts";

/** A longer event is taken for the answer, if it is complete. */
const MAX_EVENT_BYTES = 1_048_576;
const NOTHING = Buffer.alloc(0);
/**
 * Ends an event of which the rest did not come, under a name that no client listens to: half a message would be none, and a name of an
 * event counts wherever it stands in it (HTML Standard, Server-sent events §Interpreting an event stream).
 */
const END_OF_BROKEN_EVENT = "\nevent: incomplete\n\n";

/**
 * A server's event stream on its way to the client, with an error for each request that it has not answered when it ends. No client
 * notices such an end; each waits until its own time is over. A stream with event ids is left as it is, because its client comes back
 * with the last of them.
 * @param next what the stream passes besides; undefined: nothing
 * @param message the request, or batch, that it answers
 * @param isStopping whether it is the gateway that ends it
 * @returns `next` itself where there is no request, or the answer is no stream that can be added to
 */
export function withUnanswered(
  next: Passage | undefined,
  head: AnswerHead,
  message: unknown,
  isStopping: () => boolean,
): Passage | undefined {
  const ids = requestIds(message);
  if (ids.size === 0 || head.status !== 200) return next;
  const answers = new AnswerWatch(ids);
  const end = () => answers.missing(isStopping() ? rpc.stopped() : rpc.unanswered());
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

/** Which requests a stream has answered so far. */
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
    // Nothing is to be looked for any more, or can be found.
    if (isKnown) this.#splitter = undefined;
  }

  /** What the client is told at the end; `undefined`: nothing. */
  missing(error: unknown): Buffer | undefined {
    const isOverrun = this.#splitter === undefined && this.#unanswered.size > 0;
    const isWhole = this.#boundary.isBetweenEvents;
    if (this.#unanswered.size === 0 || this.#isResumable || (isOverrun && isWhole)) return undefined;
    // An id that came with the event that is not whole is one to come back with as well.
    if (this.#splitter !== undefined && isNamed(readEvent(this.#splitter.rest()).id)) return undefined;
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

/** An empty id is how a server says that there is none (HTML Standard, Server-sent events). */
function isNamed(id: string | undefined): boolean {
  return id !== undefined && id !== "";
}
