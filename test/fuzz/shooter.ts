import { connect } from "node:net";
import type { Framed } from "./framing.ts";
import type { Seen } from "./verdict.ts";

/** Of a stream that may stay open for ever: how long it is listened to. */
const LISTEN_MS = 150;
/** What is no whole request is followed by the end of the client's side, unless an answer comes first. */
const PATIENCE_MS = 120;
/** More than this of one answer is of no interest. */
const MAX_CHARS = 4_000_000;
/** The longest that the gateway may take: for the answer to a list, which may come late on another stream, it waits 50 s. */
export const DEADLINE_MS = 60_000;

/** Writes a request on a connection of its own, and shows what comes back. Never rejects. */
export function shoot(port: number, { bytes, isWhole, verb, body }: Framed): Promise<Seen> {
  const mayStayOpen = verb === "GET" || !isWhole || /subscriptions\\?\/listen/.test(body.toString("latin1"));
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    let hasEnded = false;
    const done = (how: Partial<Seen>): void => {
      clearTimeout(deadline);
      clearTimeout(ending);
      clearTimeout(leaving);
      socket.destroy();
      resolve({ ...read(text, hasEnded, verb), isLate: false, ...how });
    };
    const deadline = setTimeout(() => done({ isLate: true }), DEADLINE_MS);
    const ending = isWhole ? undefined : setTimeout(() => socket.end(), PATIENCE_MS);
    let leaving: NodeJS.Timeout | undefined;
    socket.on("data", (chunk: Buffer) => {
      if (text.length < MAX_CHARS) text += chunk.toString("latin1");
      // Also after the end of the client's own side: it can read on.
      if (mayStayOpen && /content-type: text\/event-stream/i.test(text))
        leaving ??= setTimeout(() => done({ isComplete: false }), LISTEN_MS);
    });
    socket.on("end", () => {
      hasEnded = true;
      done({});
    });
    // A connection that is reset has been closed, which is all that one may want to know.
    socket.on("error", () => undefined);
    socket.on("close", () => done({}));
    socket.write(bytes);
  });
}

function read(text: string, hasEnded: boolean, verb: string): Omit<Seen, "isLate"> {
  // What only says that more may come is no answer.
  const answer = text.replace(/^HTTP\/1\.1 1\d\d[\s\S]*?\r\n\r\n/, "");
  const end = answer.indexOf("\r\n\r\n");
  if (end === -1) return { status: 0, contentType: "", body: "", isComplete: false };
  const head = answer.slice(0, end);
  const field = (name: string) =>
    new RegExp(`^${name}: *(.*)$`, "im").exec(head)?.[1]?.trim().toLowerCase() ?? "";
  const given = answer.slice(end + 4);
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? Number.NaN);
  const isChunked = field("transfer-encoding") === "chunked";
  const length = field("content-length");
  const body = isChunked ? dechunked(given) : given;
  const isComplete = isChunked
    ? given.endsWith("0\r\n\r\n")
    : length === ""
      ? hasEnded
      : verb === "HEAD" || given.length >= Number(length);
  return {
    status,
    contentType: field("content-type"),
    body: Buffer.from(body, "latin1").toString("utf8"),
    isComplete,
  };
}

function dechunked(text: string): string {
  let body = "";
  for (let at = 0; ; ) {
    const end = text.indexOf("\r\n", at);
    const size = end === -1 ? 0 : Number.parseInt(text.slice(at, end), 16);
    if (!(size > 0)) return body;
    body += text.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}
