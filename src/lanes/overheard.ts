import { EventBoundary, EventSplitter, readEvent } from "../protocol/event-stream.ts";
import { isObject, type JsonRpcMessage } from "../protocol/jsonrpc.ts";
import type { Passage } from "./transparent.ts";

/** Somebody for whom a message on a client's stream may be meant. */
export interface Hearing {
  /** Whether there is any such message to be expected. */
  isHearing(): boolean;
  /** Says whether the message was taken. */
  hear(message: JsonRpcMessage): boolean;
}

/** A longer event is none that anybody here waits for. */
const MAX_EVENT_BYTES = 1_048_576;
const NOTHING = Buffer.alloc(0);

/**
 * A stream of messages to a client, out of which somebody else may take some. As long as nobody is hearing, bytes pass without
 * being looked at.
 */
export function overheard(next: Passage, by: Hearing): Passage {
  const boundary = new EventBoundary();
  let splitter: EventSplitter | undefined;

  const pick = (events: EventSplitter, chunk: Buffer): Buffer => {
    const kept = events.push(chunk).filter((event) => event.length > MAX_EVENT_BYTES || !isTaken(event, by));
    if (events.isOverrun || (boundary.isBetweenEvents && !by.isHearing())) {
      kept.push(events.rest());
      splitter = undefined;
    }
    return Buffer.concat(kept);
  };

  return {
    take: (chunk) => {
      if (boundary.isBetweenEvents && by.isHearing()) splitter ??= new EventSplitter(MAX_EVENT_BYTES);
      boundary.take(chunk);
      return next.take(splitter === undefined ? chunk : pick(splitter, chunk));
    },
    finish: () => Buffer.concat([next.take(splitter?.rest() ?? NOTHING), next.finish()]),
  };
}

function isTaken(event: Buffer, by: Hearing): boolean {
  const { event: name, data } = readEvent(event);
  if (name !== "message" || data === undefined) return false;
  try {
    const message: unknown = JSON.parse(data);
    return (
      isObject(message) && typeof message.method === "string" && by.hear(message as unknown as JsonRpcMessage)
    );
  } catch {
    return false;
  }
}
