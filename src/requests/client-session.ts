import type { IncomingMessage } from "node:http";
import { requestHeaders } from "../protocol/forwarded-headers.ts";
import { TASKS_2025 } from "../protocol/legacy.ts";
import type { ClientSession } from "../upstream/upstream.ts";
import type { Caller } from "./request.ts";

/** Headers that the transport sets in every request. Clients that know 2026-07-28 name the method in requests of older revisions, too. */
const OF_THE_TRANSPORT: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  "content-encoding",
  "content-type",
  "last-event-id",
  "mcp-method",
  "mcp-name",
  "mcp-protocol-version",
  "mcp-session-id",
]);

/** What a server takes a request for that names no revision (2025-11-25, Transports §Protocol Version Header). */
const UNSAID_VERSION = "2025-03-26";

/** The session of a legacy client's request, with all headers by which the server may recognise the session and the caller. */
export function clientSession(
  request: IncomingMessage,
  { withheld }: Pick<Caller, "withheld">,
): ClientSession {
  const id = sessionIdOf(request);
  const { "mcp-protocol-version": version } = request.headers;
  const protocolVersion = typeof version === "string" ? version : UNSAID_VERSION;
  const own = [...requestHeaders(request.rawHeaders, {}, withheld)].flatMap(([name]) => {
    const key = name.toLowerCase();
    const value = request.headers[key];
    const isTransports = OF_THE_TRANSPORT.has(key) || key.startsWith("mcp-param-");
    return isTransports || value === undefined ? [] : [[key, String(value)] as const];
  });
  return { headers: Object.fromEntries(own), protocolVersion, ...(id === undefined ? {} : { id }) };
}

/** Whether a request's session negotiated tasks: clients send the revision with every request (2025-11-25, Transports). */
export function speaksTasks({ headers }: Pick<IncomingMessage, "headers">): boolean {
  return headers["mcp-protocol-version"] === TASKS_2025;
}

/** `undefined` when the server has no sessions, or the client has none yet. */
export function sessionIdOf({ headers }: Pick<IncomingMessage, "headers">): string | undefined {
  const id = headers["mcp-session-id"];
  return Array.isArray(id) ? id[0] : id;
}
