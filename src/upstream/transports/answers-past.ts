import { readEvent, toEvent, withData } from "../../protocol/event-stream.ts";
import { type JsonRpcMessage, type JsonText, parseJson, toJson } from "../../protocol/jsonrpc.ts";
import { type Incoming, readIncoming, readWhole, shown, UnusableAnswer } from "./unusable-answer.ts";

type Answer = Exclude<Incoming, undefined>;

/**
 * Gets answers past the SDK's transports, which drop messages that do not fit their schemas without saying what they dropped. The transport
 * reads a placeholder in place of each answer; the placeholder's id leads back to the real answer.
 */
export class AnswersPast {
  readonly #kept = new Map<string, Answer>();
  #last = 0;

  /** Returns the event that the transport shall read: with placeholders for its answers, or unchanged. */
  event(event: Buffer): Buffer {
    const { event: name, data } = readEvent(event);
    if (data === undefined || data === "") return event;
    if (name !== "message") return this.#misnamed(event, name, data);
    const [first, ...others] = this.#replaced(data, readIncoming(data));
    if (first === data && others.length === 0) return event;
    if (first === undefined) return event;
    return Buffer.concat([withData(event, first), Buffer.from(others.map(toEvent).join(""))]);
  }

  /** Readers of events leave out those of another name, and an answer in one would be waited for until the stream ends. */
  #misnamed(event: Buffer, name: string, data: string): Buffer {
    const [part, ...others] = readIncoming(data);
    if (part === undefined || others.length > 0 || part instanceof UnusableAnswer || "method" in part)
      return event;
    const why = `it came in an event called ${shown(name)}, expected "message"`;
    return Buffer.from(toEvent(this.#keep(new UnusableAnswer(part.id, why, false, true))));
  }

  /** Returns what the transport shall read of a body that has to contain an answer: one message, or an array of several. */
  whole(text: string): unknown {
    const replaced = this.#replaced(text, readWhole(text)).map(parseJson);
    return replaced.length === 1 ? replaced[0] : replaced;
  }

  /** Returns the real answer for a placeholder that the transport has read, and any other message unchanged. */
  real(message: JsonRpcMessage): Answer {
    if ("method" in message || typeof message.id !== "string") return message;
    const { id } = message;
    const real = this.#kept.get(id);
    if (real === undefined) return message;
    // Answers arrive in order: those kept before this one were lost with the stream that carried them.
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
