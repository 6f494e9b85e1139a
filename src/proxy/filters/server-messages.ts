import { EventSplitter, readEvent } from "../../protocol/event-stream.ts";
import { isObject, type JsonRpcMessage, parseJson } from "../../protocol/jsonrpc.ts";
import type { Filter } from "../reverse-proxy.ts";

/** Takes messages on a client's stream that are meant for a task. */
export interface Hearing {
  /** Whether it expects any. */
  isHearing(): boolean;
  /** Returns whether it took the message. */
  hear(message: JsonRpcMessage): boolean;
}

/** A longer event is none that a task waits for. */
const MAX_EVENT_BYTES = 1_048_576;
const NOTHING = Buffer.alloc(0);

/** A filter that knows whether it stands between two events: only whole events are taken out. */
export interface EventsFilter extends Filter {
  readonly isBetweenEvents: boolean;
}

/** A stream of messages to a client, from which `by` may take some. While it expects none, bytes pass without being examined. */
export function withoutTaken(next: EventsFilter, by: Hearing): Filter {
  let splitter: EventSplitter | undefined;

  const pick = (events: EventSplitter, chunk: Buffer): Buffer => {
    const kept = events.push(chunk).filter((event) => event.length > MAX_EVENT_BYTES || !isTaken(event, by));
    if (events.isOverrun || !by.isHearing()) {
      kept.push(events.rest());
      splitter = undefined;
    }
    return Buffer.concat(kept);
  };

  return {
    take: (chunk) => {
      if (next.isBetweenEvents && by.isHearing()) splitter ??= new EventSplitter(MAX_EVENT_BYTES);
      return next.take(splitter === undefined ? chunk : pick(splitter, chunk));
    },
    finish: () => Buffer.concat([next.take(splitter?.rest() ?? NOTHING), next.finish()]),
  };
}

function isTaken(event: Buffer, by: Hearing): boolean {
  const { event: name, data } = readEvent(event);
  const message = name === "message" && data !== undefined ? parseJson(data) : undefined;
  return (
    isObject(message) && typeof message.method === "string" && by.hear(message as unknown as JsonRpcMessage)
  );
}
