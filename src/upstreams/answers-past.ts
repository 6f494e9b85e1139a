import { readEvent, toEvent, withData } from "../protocol/event-stream.ts";
import { type JsonRpcMessage, type JsonText, parseJson, toJson } from "../protocol/jsonrpc.ts";
import { type Incoming, readIncoming, readWhole, UnusableAnswer } from "./unusable-answer.ts";

type Answer = Exclude<Incoming, undefined>;

/**
 * Gets answers past the SDK's transports, which drop what does not fit their schemas and do not say what it was: the transport is given
 * another answer in place of each, under an id by which the real one is found again.
 */
export class AnswersPast {
  readonly #kept = new Map<string, Answer>();
  #last = 0;

  /** What the transport is to read of an event, and may be the event itself. */
  event(event: Buffer): Buffer {
    const { event: name, data } = readEvent(event);
    if (name !== "message" || data === undefined || data === "") return event;
    const [first, ...others] = this.#replaced(data, readIncoming(data));
    if (first === data && others.length === 0) return event;
    if (first === undefined) return event;
    return Buffer.concat([withData(event, first), Buffer.from(others.map(toEvent).join(""))]);
  }

  /** What the transport is to read of a text that has to have an answer in it: a message or several. */
  whole(text: string): unknown {
    const replaced = this.#replaced(text, readWhole(text)).map(parseJson);
    return replaced.length === 1 ? replaced[0] : replaced;
  }

  /** What was meant with a message that the transport has read. */
  real(message: JsonRpcMessage): Answer {
    if ("method" in message || typeof message.id !== "string") return message;
    const { id } = message;
    const real = this.#kept.get(id);
    if (real === undefined) return message;
    // They come in their order: what stands before it was lost with the stream that it came on.
    for (const key of this.#kept.keys()) {
      this.#kept.delete(key);
      if (key === id) break;
    }
    return real;
  }

  #replaced(text: string, parts: readonly Incoming[]): readonly string[] {
    const [only] = parts;
    if (parts.length === 1 && !isAnswer(only)) return [text];
    return parts
      .filter((part) => part !== undefined)
      .map((part) => (isAnswer(part) ? this.#keep(part) : toJson(part)));
  }

  #keep(answer: Answer): JsonText {
    this.#last += 1;
    const id = `taskgate-answer-${this.#last}`;
    this.#kept.set(id, answer);
    return toJson({ jsonrpc: "2.0", id, result: {} });
  }
}

function isAnswer(part: Incoming): part is Answer {
  return part instanceof UnusableAnswer || (part !== undefined && !("method" in part));
}
