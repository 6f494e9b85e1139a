import { EventSplitter, readEvent, withData } from "../../protocol/event-stream.ts";
import { isSameServer } from "../redirects.ts";
import type { Filter } from "../reverse-proxy.ts";

/** Longer events are not examined. */
const MAX_EVENT_BYTES = 65_536;

/**
 * Rewrites the path to which an HTTP+SSE server wants messages posted to a path of the gateway, and nothing else (2024-11-05, Transports
 * §HTTP with SSE). The server must send it before the first message: a stream that begins with a message, or with an event too long to be
 * an endpoint, is not of that transport. Comments and events of other names may come before.
 *
 * @param next filters the stream after this
 * @param server the url of the stream at the server
 * @param path the path of the stream at the gateway
 * @param onEndpoint takes the path at the server
 */
export function withEndpoint(
  next: Filter,
  server: URL,
  path: string,
  onEndpoint: (path: string) => void = () => {},
): Filter {
  const splitter = new EventSplitter(MAX_EVENT_BYTES);
  let isDecided = false;
  const look = (piece: Buffer): Buffer => {
    if (isDecided) return piece;
    const { event, data } = piece.length > MAX_EVENT_BYTES ? TOO_LONG : readEvent(piece);
    if (data === undefined) return piece;
    isDecided = event === "endpoint" || event === "message";
    return event === "endpoint" ? translated(piece, data, { server, path, onEndpoint }) : piece;
  };
  const cut = (chunk: Buffer): Buffer => {
    const pieces = splitter.push(chunk).map(look);
    return Buffer.concat(isDecided ? [...pieces, splitter.rest()] : pieces);
  };
  return {
    take: (chunk) => next.take(isDecided ? chunk : cut(chunk)),
    finish: () => Buffer.concat([splitter.rest(), next.finish()]),
  };
}

const TOO_LONG = { event: "message", data: "" };

interface Translation {
  readonly server: URL;
  readonly path: string;
  readonly onEndpoint: (path: string) => void;
}

function translated(event: Buffer, endpoint: string, { server, path, onEndpoint }: Translation): Buffer {
  if (!URL.canParse(endpoint, server.href)) return event;
  const target = new URL(endpoint, server);
  // A client refuses an endpoint on another server, so it must see this one unchanged.
  if (!isSameServer(target, server)) return event;
  const { pathname, search } = target;
  onEndpoint(pathname);
  // A route at the root has the whole address, and a path that begins with two slashes would name a host.
  return withData(event, `${path === "/" ? "" : path}${pathname}${search}`);
}
