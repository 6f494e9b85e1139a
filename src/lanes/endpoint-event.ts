import { EventSplitter, readEvent, withData } from "../protocol/event-stream.ts";
import type { Passage } from "./transparent.ts";

/** As much of a stream as is looked at for its first event. */
const MAX_FIRST_EVENT_BYTES = 65_536;

/**
 * Changes where an HTTP+SSE server wants its messages posted to a path of the gateway's, and nothing else (2024-11-05,
 * Transports §HTTP with SSE). The first event says it; a stream that begins with another one is none of that transport.
 *
 * @param next what the stream passes after that
 * @param server the url of the stream at the server
 * @param path that of the stream at the gateway
 */
export function withEndpoint(next: Passage, server: URL, path: string): Passage {
  const splitter = new EventSplitter(MAX_FIRST_EVENT_BYTES);
  let isKnown = false;
  const look = (chunk: Buffer): Buffer => {
    const [first, ...others] = splitter.push(chunk);
    isKnown = first !== undefined || splitter.isOverrun;
    if (first === undefined) return NOTHING;
    return Buffer.concat([
      splitter.isOverrun ? first : translated(first, server, path),
      ...others,
      splitter.rest(),
    ]);
  };
  return {
    take: (chunk) => next.take(isKnown ? chunk : look(chunk)),
    finish: () => Buffer.concat([isKnown ? NOTHING : splitter.rest(), next.finish()]),
  };
}

const NOTHING = Buffer.alloc(0);

function translated(event: Buffer, server: URL, path: string): Buffer {
  const { event: name, data } = readEvent(event);
  if (name !== "endpoint" || data === undefined || !URL.canParse(data, server.href)) return event;
  const { origin, pathname, search } = new URL(data, server);
  // A client refuses an endpoint of another origin, and is to see it for that.
  return origin === server.origin ? withData(event, `${path}${pathname}${search}`) : event;
}
