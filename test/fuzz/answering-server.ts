import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { type Random, randomFrom } from "../survival/support/seeded.ts";
import { mutatedBytes, mutatedJson } from "./mutations.ts";
import {
  type Asked,
  isSlow,
  legacyReply,
  modernReply,
  type Said,
  uncalledFor,
  uncalledForCount,
} from "./replies.ts";

export interface AnsweringServerOptions {
  readonly seed: number;
  readonly era: "legacy" | "modern";
  /** Of a hundred answers, how many have something wrong with them. */
  readonly percent: number;
}

export interface AnsweringServer {
  readonly url: string;
  /** How many answers had something wrong with them. */
  readonly mutated: number;
  close(): Promise<void>;
}

/** Nothing is left open for longer: what then has not come never does. */
const LONGEST_MS = 300;
const STATUSES: readonly [number, ...number[]] = [
  99, 100, 101, 199, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 409, 410,
  413, 415, 418, 429, 500, 502, 503, 504, 599, 600, 999,
];
const LOCATIONS: readonly [string, ...string[]] = [
  "/mcp",
  "http://127.0.0.1:1/",
  "//elsewhere.example/",
  "file:///etc/passwd",
  "javascript:x",
  "\u00ff",
  "",
];
const HEADERS: readonly [string, ...string[]] = [
  "Content-Type: text/html",
  "Content-Type: application/json; charset=latin1",
  "Content-Type: ",
  "Content-Type: text/event-stream",
  "Content-Type: application/json",
  "Content-Encoding: gzip",
  "Content-Encoding: br",
  "Content-Encoding: gzip, gzip, gzip, gzip",
  "Content-Length: 3",
  "Content-Length: 99999",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: gzip, chunked",
  "Mcp-Session-Id: \u00e4\u00ff",
  `Mcp-Session-Id: ${"s".repeat(5_000)}`,
  "Mcp-Session-Id: a\r\nMcp-Session-Id: b",
  "MCP-Protocol-Version: 1.0",
  'WWW-Authenticate: Bearer resource_metadata="javascript:x"',
  "WWW-Authenticate: \u00ff",
  "Retry-After: -1",
  "Set-Cookie: a=b",
  "Connection: Upgrade\r\nUpgrade: x",
  "Trailer: x",
  "Refresh: 0",
  " folded: x",
  "no colon",
  "x: \u0000",
  `x-large: ${"y".repeat(20_000)}`,
];

/** A server whose answers are wrong in one way or another; which way the seed says, and what was asked. */
export async function startAnsweringServer(options: AnsweringServerOptions): Promise<AnsweringServer> {
  const { seed, era, percent } = options;
  let mutated = 0;
  let counted = 0;
  let sessions = 0;
  const http = createServer((request, response) => {
    response.on("error", () => undefined);
    serve(request, response).catch(() => response.destroy());
  });
  http.on("clientError", (_, socket) => socket.destroy());
  // A connection that is closed just when the next request is on its way is no news, and no fault of whoever sent that.
  http.keepAliveTimeout = 0;
  http.listen(0, "127.0.0.1");
  await new Promise<void>((resolve) => http.once("listening", () => resolve()));

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = await textOf(request);
    counted += 1;
    const asked: Asked = text === "" ? {} : JSON.parse(text);
    const random = randomFrom(seed + choiceOf(asked, counted));
    // What comes before everything else is right more often, or nothing else would ever be reached.
    // What is said to an answer of the gateway's is wrong as well, but there is little to be made of it.
    const isAnswered = asked.method !== undefined || request.method === "GET";
    const share = isHandshake(asked) || !isAnswered ? percent / 5 : percent;
    const isWrong = random.between(1, 1_000) <= share * 10;
    const reply = era === "modern" ? modernReply(asked) : legacyReply(asked);
    const head =
      request.method === "GET" ? sessionHead(request) : sessionHead(request, asked, () => (sessions += 1));
    if (isSlow(asked)) await sleep(random.between(60, 160));
    if (!isWrong) return right(request, response, { reply, head, random });
    if (isAnswered) mutated += 1;
    await wrong(request, response, { reply, head, random, id: asked.id });
  }

  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`,
    get mutated() {
      return mutated;
    },
    close: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

interface Answering {
  readonly reply: Said;
  readonly head: readonly string[];
  readonly random: Random;
}

async function right(request: IncomingMessage, response: ServerResponse, { reply, head, random }: Answering) {
  const fields = Object.fromEntries(head.map((line) => line.split(": ") as [string, string]));
  if (request.method === "GET") {
    response.writeHead(200, { ...fields, "Content-Type": "text/event-stream" }).flushHeaders();
    await sleep(random.between(200, LONGEST_MS), undefined, { ref: false });
    response.end();
  } else if (reply.length === 0) response.writeHead(request.method === "DELETE" ? 200 : 202, fields).end();
  else if (random.between(0, 1) === 0)
    response.writeHead(200, { ...fields, "Content-Type": "application/json" }).end(JSON.stringify(reply[0]));
  else
    response
      .writeHead(200, { ...fields, "Content-Type": "text/event-stream" })
      .end(reply.map(eventOf).join(""));
}

/** The answer as bytes, wrong in its messages, its head or its framing, and always over after a while. */
async function wrong(
  request: IncomingMessage,
  response: ServerResponse,
  { reply, head, random, id }: Answering & { readonly id: unknown },
): Promise<void> {
  const said = mutatedSaid(reply, id, random);
  const isStream = request.method === "GET" || random.between(0, 1) === 0;
  let body: Buffer = Buffer.from(
    isStream ? said.map(eventOf).join("") : JSON.stringify(said.length === 1 ? said[0] : said),
  );
  const lines = [...head, `Content-Type: ${isStream ? "text/event-stream" : "application/json"}`];
  let status: number | string = 200;
  let isLeft = false;
  switch (random.between(0, 8)) {
    case 0:
      body = mutatedBytes(body, random);
      break;
    case 1:
      status = random.one(STATUSES);
      lines.push(`Location: ${random.one(LOCATIONS)}`);
      break;
    case 2:
      lines.push(random.one(HEADERS));
      break;
    case 3: {
      body = gzipSync(Buffer.concat([body, Buffer.alloc(random.one([0, 1_000, 500_000]), " ")]));
      lines.push("Content-Encoding: gzip");
      break;
    }
    case 4:
      // Something comes, and then nothing.
      isLeft = true;
      body = body.subarray(0, random.between(0, body.length));
      break;
    case 5:
      status = random.one(["200", "2000", "abc", "", "200 OK\r\nX", "\u00ff"]);
      break;
    default:
  }
  const declared = random.between(0, 2) === 0 ? [] : [`Content-Length: ${body.length + (isLeft ? 10 : 0)}`];
  const text = `HTTP/1.1 ${status} OK\r\n${[...lines, ...declared, "Connection: close"].join("\r\n")}\r\n\r\n`;
  const whole = Buffer.concat([Buffer.from(text, "latin1"), body]);
  const { socket } = response;
  if (socket === null) return;
  socket.write(random.between(0, 14) === 0 ? mutatedBytes(whole, random) : whole);
  if (isLeft || isStream)
    await sleep(random.between(0, LONGEST_MS / (isLeft ? 1 : 10)), undefined, { ref: false });
  if (random.between(0, 4) === 0) socket.destroy();
  else socket.end();
}

function mutatedSaid(reply: Said, id: unknown, random: Random): Said {
  const before = Array.from({ length: uncalledForCount(random) }, () => uncalledFor(id, random));
  const answer = reply.map((message) =>
    random.between(0, 2) === 0 ? message : mutatedJson(message, random),
  );
  const twice = random.between(0, 9) === 0 ? answer : [];
  return [...before, ...answer, ...twice] as Said;
}

function eventOf(message: unknown): string {
  return `event: message\ndata: ${JSON.stringify(message)}\n\n`;
}

function sessionHead(request: IncomingMessage, asked: Asked = {}, next = () => 0): readonly string[] {
  if (asked.method === "initialize") return [`Mcp-Session-Id: session-${next()}`];
  const id = request.headers["mcp-session-id"];
  return id === undefined ? [] : [`Mcp-Session-Id: ${id}`];
}

/** The same for the same call, whenever it comes. */
function choiceOf({ params }: Asked, counted: number): number {
  const n =
    params?.name !== undefined ? (params.arguments as { readonly n?: unknown } | undefined)?.n : undefined;
  return typeof n === "number" ? Math.imul(n, 2_654_435_761) : counted;
}

function isHandshake({ method }: Asked): boolean {
  return (
    typeof method === "string" && /^(?:initialize|notifications\/initialized|server\/discover)$/.test(method)
  );
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
