import type { Random } from "../survival/support/seeded.ts";
import type { Shot } from "./corpus.ts";
import { mutatedBytes, mutatedJson } from "./mutations.ts";

/** The bytes of a request, and what can be asked of whoever gets it. */
export interface Framed {
  readonly bytes: Buffer;
  /** Whether the bytes are one whole request of HTTP/1.1, so that there has to be an answer. */
  readonly isWhole: boolean;
  readonly verb: string;
  readonly target: string;
  readonly body: Buffer;
}

const TARGETS: readonly [string, ...string[]] = [
  "",
  "?x=1",
  "/",
  "//",
  "/..",
  "/%2e%2e/mcp",
  "/%00",
  "?%",
  ";x",
  "/x/y",
];
const VERBS: readonly [string, ...string[]] = ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "TRACE"];
const HEADERS: readonly [readonly [string, string], ...(readonly [string, string])[]] = [
  ["Accept", "text/html"],
  ["Accept", "application/json"],
  ["Accept", "text/event-stream;q=0, */*;q=x"],
  ["Accept", ""],
  ["Content-Type", "text/plain"],
  ["Content-Type", "application/json; charset=utf-16"],
  ["Content-Encoding", "gzip"],
  ["Origin", "http://elsewhere.example"],
  ["Origin", "null"],
  ["Host", "elsewhere.example"],
  ["Host", ""],
  ["MCP-Protocol-Version", "2026-07-28"],
  ["MCP-Protocol-Version", "2025-11-25"],
  ["MCP-Protocol-Version", "9999-99-99"],
  ["MCP-Protocol-Version", ""],
  ["Mcp-Method", "tools/call"],
  ["Mcp-Method", "\u00ff"],
  ["Mcp-Name", "=?base64?!!?="],
  ["Mcp-Param-n", "x"],
  ["Mcp-Session-Id", "x".repeat(300)],
  ["Mcp-Session-Id", ""],
  ["Last-Event-ID", "1_1"],
  ["Last-Event-ID", "\u00e4"],
  ["Authorization", "Bearer x"],
  ["Authorization", "\u00ff"],
  ["Cookie", "a=b; ".repeat(200)],
  ["X-Large", "y".repeat(9_000)],
  ["Mcp-Name", `x${" ".repeat(9_000)}x`],
  ["Mcp-Param-n", `${"\t ".repeat(4_500)}x`],
  ["Forwarded", "for=1;host=x"],
  ["Range", "bytes=0-1"],
  ["TE", "trailers"],
  ["Trailer", "x"],
  ["Access-Control-Request-Method", "POST"],
  ["Proxy-Authorization", "x"],
];
/** What makes it somebody else's request, or none. */
const TRICKS: readonly [string, ...string[]] = [
  "Content-Length: 5\r\nContent-Length: 6\r\n",
  "Content-Length: -1\r\n",
  "Content-Length: 99999999999999\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: chunked, identity\r\nContent-Length: 3\r\n",
  "Transfer-Encoding : chunked\r\n",
  "Expect: 100-continue\r\n",
  "Expect: something\r\n",
  "Connection: Upgrade\r\nUpgrade: websocket\r\n",
  "Connection: close, Mcp-Session-Id\r\n",
  " folded: x\r\n",
  "\u0000: x\r\n",
  "no colon\r\n",
  "x: a\nb: c\r\n",
];

/** The request with something wrong with it: in its message, its bytes, its headers, its target, or its framing. */
export function mutatedFrame(shot: Shot, random: Random): Framed {
  const kind = random.between(0, 9);
  if (kind <= 3) return frame({ ...shot, message: mutatedJson(shot.message, random) });
  if (kind === 4) return frame(shot, (body) => mutatedBytes(body, random));
  if (kind === 5) return frame({ ...shot, headers: mutatedHeaders(shot.headers, random) });
  if (kind === 6) {
    const both = { ...shot, headers: mutatedHeaders(shot.headers, random) };
    return frame({ ...both, message: mutatedJson(shot.message, random) });
  }
  if (kind === 7)
    return random.between(0, 1) === 0
      ? frame({ ...shot, target: mutatedTarget(shot.target, random) })
      : frame({ ...shot, verb: random.one(VERBS) });
  const whole = frame(shot);
  const bytes = kind === 8 ? mutatedBytes(whole.bytes, random) : tricked(whole, random);
  return { ...whole, bytes, isWhole: false };
}

/** The request as it should be. */
export function frame({ verb, target, headers, message }: Shot, change = (body: Buffer) => body): Framed {
  const body = message === undefined ? Buffer.alloc(0) : change(Buffer.from(JSON.stringify(message) ?? ""));
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const length = body.length === 0 && verb !== "POST" ? "" : `Content-Length: ${body.length}\r\n`;
  const head = `${verb} ${target} HTTP/1.1\r\n${lines}Connection: close\r\n${length}\r\n`;
  return { bytes: Buffer.concat([Buffer.from(head, "latin1"), body]), isWhole: true, verb, target, body };
}

function mutatedHeaders(headers: Shot["headers"], random: Random): Shot["headers"] {
  const [name, value] = random.one(headers as [readonly [string, string]]);
  const others = headers.filter(([other]) => other !== name);
  switch (random.between(0, 5)) {
    case 0:
      return name === "Host" ? headers : others;
    case 1:
      return [...headers, [name.toUpperCase(), value]];
    case 2:
      return [...others, [name, `${value}${random.one([" ", ",", ";", "\u00e9", "\t", value])}`]];
    case 3:
      return random.shuffled(headers);
    default: {
      const [put, what] = random.one(HEADERS);
      return [...headers.filter(([other]) => other !== put), [put, what]];
    }
  }
}

function mutatedTarget(target: string, random: Random): string {
  const odd = random.one(TARGETS);
  return random.one([
    `${target}${odd}`,
    `${odd}${target}`,
    `http://elsewhere.example${target}`,
    "*",
    "/mcp",
    `/${"x".repeat(5_000)}`,
  ]);
}

function tricked({ bytes }: Framed, random: Random): Buffer {
  const text = bytes.toString("latin1");
  const end = text.indexOf("\r\n") + 2;
  switch (random.between(0, 4)) {
    case 0:
      return Buffer.from(text.replaceAll("\r\n", "\n"), "latin1");
    case 1:
      return Buffer.concat([
        Buffer.from(text.replace("Connection: close", "Connection: keep-alive"), "latin1"),
        bytes,
      ]);
    case 2:
      return Buffer.from(text.replace(/Content-Length: \d+/, "Transfer-Encoding: chunked"), "latin1");
    default:
      return Buffer.from(text.slice(0, end) + random.one(TRICKS) + text.slice(end), "latin1");
  }
}
