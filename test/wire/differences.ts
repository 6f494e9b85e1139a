/** Every difference between what a server says (`-`) and what a client of the gateway hears (`+`), with its reason. */

import type { Recorded } from "./recording.ts";

/** What was asked of whom, and what the server says when there is no gateway. */
export interface Exchange {
  readonly server: string;
  readonly version: string;
  readonly name: string;
  readonly directly: Recorded;
}

export interface Listed {
  readonly difference: string | RegExp;
  /** The exchanges in which it has to be. */
  readonly where: (exchange: Exchange) => boolean;
  readonly reason: string;
}

const TASKS_2025 = "2025-11-25";
const OWN_TASKS = "the example of the v1 SDK with tasks of its own";
const MARKS_TOOLS = "the example of the v1 SDK that answers with JSON only";
const HTTP_SSE = "server-everything 2025.12.18 over HTTP+SSE";

const named =
  (...names: readonly string[]) =>
  ({ name }: Exchange) =>
    names.includes(name);
const LISTING = named("tools/list", "a request with an origin");
const isAmended = ({ server, version }: Exchange) =>
  version === TASKS_2025 && server !== OWN_TASKS && server !== HTTP_SSE;
const saysOfItself = (header: RegExp) => (exchange: Exchange) =>
  exchange.directly.headers.some(([name, value]) => header.test(`${name}: ${value}`));
const hasLength = saysOfItself(/^content-length: /i);

const isStream = saysOfItself(/^content-type: text\/event-stream/i);
const lacks = (header: RegExp) => (exchange: Exchange) => !saysOfItself(header)(exchange);

/** Whether the length of an answer has to be let go of, since it may become another one. */
const mayGrow = (exchange: Exchange) =>
  hasLength(exchange) &&
  (exchange.name === "initialize" || (LISTING(exchange) && isAmended(exchange)) || isStream(exchange));

const FRAMING: readonly Listed[] = [
  {
    difference: "header - Keep-Alive: timeout=5",
    where: saysOfItself(/^keep-alive: timeout=5$/i),
    reason: "Of the two connections each has its own time, and that to the client is longer.",
  },
  {
    difference: "header + Keep-Alive: timeout=75",
    where: (exchange) => exchange.directly.headers.length > 0,
    reason: "As above.",
  },
  ...["- connection: keep-alive", "+ Connection: keep-alive"].map((header) => ({
    difference: `header ${header}`,
    where: saysOfItself(/^connection: /),
    reason: "Of the two connections each has its own headers.",
  })),
  ...["- content-length: <length>", "+ Transfer-Encoding: chunked"].map((header) => ({
    difference: `header ${header}`,
    where: mayGrow,
    reason: "Something may be put in, and the length is said before that is known.",
  })),
];

const TASKS: readonly Listed[] = [
  {
    difference: 'body + ,"tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}',
    where: (exchange) => exchange.name === "initialize" && isAmended(exchange),
    reason: "The tasks are the gateway's (2025-11-25, Tasks §Capabilities).",
  },
  {
    difference: 'body + ,"execution":{"taskSupport":"optional"}',
    where: (exchange) => LISTING(exchange) && isAmended(exchange) && exchange.server !== MARKS_TOOLS,
    reason: "The policy says which tools may be called as tasks (2025-11-25, Tasks §Tool-Level Negotiation).",
  },
  {
    difference: 'body - "forbidden" + "optional"',
    where: (exchange) => LISTING(exchange) && isAmended(exchange) && exchange.server === MARKS_TOOLS,
    reason: "The SDK marks every tool so; nobody meant it for the gateway's tasks.",
  },
];

const STREAMS: readonly Listed[] = (
  [
    ["X-Accel-Buffering: no", /^x-accel-buffering: /i],
    ["Cache-Control: no-cache", /^cache-control: /i],
  ] as const
).map(([header, said]) => ({
  difference: `header + ${header}`,
  where: (exchange) => isStream(exchange) && lacks(said)(exchange),
  reason:
    "Proxies and caches on the way to the client are not to keep streams back, where the server leaves that open.",
}));

const HAS_CORS = "server-everything 2025.12.18";
const isPreflight = ({ name }: Exchange) => name === "a preflight";
const isUnexpectedPreflight = (exchange: Exchange) => isPreflight(exchange) && exchange.server !== HAS_CORS;
const ORIGINS: readonly Listed[] = [
  {
    difference: /^header - Access-Control-/i,
    where: saysOfItself(/^access-control-/i),
    reason: "Which pages may call is for the operator to say.",
  },
  ...[
    "Access-Control-Allow-Origin: http://localhost:1234",
    "Access-Control-Expose-Headers: WWW-Authenticate, Mcp-Session-Id",
  ].map((header) => ({
    difference: `header + ${header}`,
    where: (exchange: Exchange) => isPreflight(exchange) || exchange.name === "a request with an origin",
    reason: "The gateway lets in the origins that it is told to, whatever the server says of them.",
  })),
  {
    difference: "header + Vary: Origin",
    where: (exchange) => isPreflight(exchange) || exchange.name === "a request with an origin",
    reason: "As above.",
  },
  ...[
    "Access-Control-Allow-Headers: content-type, mcp-session-id",
    "Access-Control-Allow-Methods: GET, HEAD, POST, DELETE",
    "Access-Control-Max-Age: 600",
  ].map((header) => ({
    difference: `header + ${header}`,
    // That one says the same of headers, and lets pages send any.
    where: header.includes("Allow-Headers") ? isUnexpectedPreflight : isPreflight,
    reason: "As above.",
  })),
  {
    difference: "header - Vary: Access-Control-Request-Headers",
    where: (exchange) => isPreflight(exchange) && exchange.server === HAS_CORS,
    reason: "As above.",
  },
  {
    difference: /^status: - (?:200|405) \+ 204$|^reason: - .* \+ No Content$/,
    where: isUnexpectedPreflight,
    reason: "The server takes it for an ordinary request, and the gateway answers instead.",
  },
  {
    difference: /^header - (?:allow|content-length|content-type|x-powered-by|x-content-type-options): /i,
    where: isPreflight,
    reason: "As above.",
  },
  { difference: /^body - [^+]*$/, where: isUnexpectedPreflight, reason: "As above." },
];

const withOdd = named(
  ...["POST", "GET", "DELETE", "OPTIONS"].map((method) => `${method}, with headers in any case`),
);

const ODD: readonly Listed[] = [
  {
    difference: "reason: - Fine By Me + OK",
    where: named("a phrase of the server's own"),
    reason: "It means nothing (RFC 9112 §4), and with odd characters in it node would end the process.",
  },
  {
    difference: "before: - 103 + ",
    where: named("hints before the answer"),
    reason: "Interim answers are about the connection, and no client of MCP waits for any.",
  },
  {
    difference: "header - Trailer: X-Sum",
    where: named("trailers behind the body"),
    reason: "The framing is each connection's own, and trailers may be dropped with it (RFC 9110 §6.5.1).",
  },
  { difference: "trailer - X-Sum: 1", where: named("trailers behind the body"), reason: "As above." },
  ...["- Keep-Alive: timeout=77", "- Proxy-Authenticate: Basic"].map((header) => ({
    difference: `header ${header}`,
    where: named("headers of the connection"),
    reason: "Of the two connections each has its own headers.",
  })),
  ...["- Connection: close", "+ Connection: keep-alive"].map((header) => ({
    difference: `header ${header}`,
    where: named("a connection that closes"),
    reason: "As above.",
  })),
  ...["- Location: /other", "+ Location: /tested/mcp/other"].map((header) => ({
    difference: `header ${header}`,
    where: named("a permanent redirection of a GET"),
    reason: "The client is led to the gateway.",
  })),
  {
    difference: "header - Content-Encoding: gzip",
    where: named("a compressed answer to a call"),
    reason: "Nothing can be put into a compressed stream, so for a call none is asked for.",
  },
  {
    difference: /^body - [\s\S]* \+ \{"jsonrpc":"2.0","id":1,"result":\{"text":".*"\}\}$/,
    where: named("a compressed answer to a call"),
    reason: "As above.",
  },
  {
    difference: /^body - "X-Odd: 2",.* \+ "x-ODD: 2",.*"Cookie: a=1; b=2"$/s,
    where: withOdd,
    reason:
      "A header that comes twice reaches the server twice, by the first spelling of its name; cookies in one.",
  },
  {
    difference:
      /^body - "Forwarded: for=1",\s+(?:"Accept-Encoding: gzip, br",\s+)?"TE: trailers",\s+"Proxy-Authorization: Basic x"/,
    where: withOdd,
    reason:
      "Headers of the client's connection end there, and those that only a trusted proxy may set; a stream to listen on is asked for uncompressed.",
  },
  {
    difference: 'body - "Transfer-Encoding: chunked" + "Content-Length: 2"',
    where: named("a body in chunks"),
    reason: "A body is read and counted before it is forwarded.",
  },
];

const isSseStream = ({ server, name }: Exchange) => server === HTTP_SSE && name === "the stream";
const SSE: readonly Listed[] = [
  {
    difference: "body + tested/mcp/",
    where: isSseStream,
    reason: "Messages are to be posted to the gateway (2024-11-05, Transports §HTTP with SSE).",
  },
  {
    difference:
      /^headers in another order: .* Connection: keep-alive \| Date: .* Date: .* Connection: keep-alive/,
    where: isSseStream,
    reason: "As above: the connection's come last.",
  },
];

export const LISTED: readonly Listed[] = [...FRAMING, ...STREAMS, ...TASKS, ...ORIGINS, ...ODD, ...SSE];
