import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { beat } from "../requests/keep-alive.ts";

/**
 * When to check whether a client still reads, in milliseconds after its FIN: twice at once, since a client on the same machine may already
 * have come back for the stream that it left; then after 1, 4, 13 and so on. Only a write after the reset fails, and the reset takes as
 * long as the client is far away.
 */
const SPREAD = 3;

export interface HalfClosedOptions {
  /** The longest time between two checks; 15 s unless given. */
  readonly longestPauseMs?: number;
  /** How long to wait for a client to which nothing can be sent: before the head of its answer, and after it. 2 s and 60 s unless given. */
  readonly untoldMs?: { readonly head: number; readonly rest: number };
}

/**
 * Makes a server answer clients that close their half of the connection after the request, and still read (RFC 9112 §9.6). The FIN alone
 * does not tell such a client from one that has left, for which all work must end. So the gateway sends both something without a meaning:
 * the system of a client that has left answers with a reset, and the next write fails. That is the beginning of the answer, which is the
 * same for all, then 102 Processing, and on a stream a comment. If nothing can be sent, as before an answer to HTTP/1.0 that is no
 * stream, the gateway assumes after some seconds that the client has left.
 */
export function answerHalfClosed(server: Server, options: HalfClosedOptions = {}): void {
  const { longestPauseMs = 15_000, untoldMs = { head: 2_000, rest: 60_000 } } = options;
  // Otherwise node:http closes the other half at once.
  Object.assign(server, { httpAllowHalfOpen: true });
  const unanswered = new WeakMap<Socket, Set<ServerResponse>>();
  server.on("request", ({ socket }, response) => {
    const responses = unanswered.get(socket);
    responses?.add(response);
    response.once("close", () => responses?.delete(response));
  });
  server.on("connection", (socket) => {
    const responses = new Set<ServerResponse>();
    unanswered.set(socket, responses);
    socket.once("end", () => {
      if (responses.size > 0) probe(socket, responses, { longestPauseMs, untoldMs });
    });
  });
}

/** Checks repeatedly whether a client still reads, until it has its answers. */
function probe(
  socket: Socket,
  responses: ReadonlySet<ServerResponse>,
  { longestPauseMs, untoldMs }: Required<HalfClosedOptions>,
): void {
  const beginning = new Beginning(socket);
  let pauseMs = 1;
  let quietSince = performance.now();
  let written = socket.bytesWritten;
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    timer = setTimeout(look, pauseMs);
    pauseMs = Math.min(SPREAD * pauseMs, longestPauseMs);
    lookOnce();
  };
  const lookOnce = () => {
    // The other responses wait for this one (RFC 9112 §9.3.2).
    const current = [...responses].find((response) => response.socket === socket);
    // Bytes on their way to the client tell as much.
    if (current === undefined || socket.writableLength > 0) return;
    const isLate = performance.now() - quietSince >= untoldMs[current.headersSent ? "rest" : "head"];
    saySomething(current, beginning, isLate);
    if (socket.bytesWritten > written) quietSince = performance.now();
    else if (isLate) socket.destroy();
    written = socket.bytesWritten;
  };
  const first = setImmediate(look);
  socket.once("close", () => {
    clearImmediate(first);
    clearTimeout(timer);
  });
  lookOnce();
}

/** @param isLate whether the answer may become a stream for this, which has the status 200 and no other */
function saySomething(response: ServerResponse, beginning: Beginning, isLate: boolean): void {
  const { httpVersionMajor, httpVersionMinor } = response.req;
  if (response.headersSent) beat(response);
  else if (!beginning.isSpent) beginning.sendLetter();
  else if (httpVersionMajor === 1 && httpVersionMinor >= 1) response.writeProcessing();
  else if (isLate) beat(response);
}

/** The beginning of every answer, to HTTP/1.0 as well (RFC 9112 §2.3), sent letter by letter before the rest is known. */
class Beginning {
  static readonly #TEXT = "HTTP/1.1 ";
  readonly #socket: Socket;
  #sent = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get isSpent(): boolean {
    return this.#sent === Beginning.#TEXT.length;
  }

  sendLetter(): void {
    if (this.#sent > 0) Reflect.deleteProperty(this.#socket, "write");
    this.#socket.write(Beginning.#TEXT.charAt(this.#sent), "latin1");
    this.#sent += 1;
    // node:http's next write begins with the letters that were sent.
    Object.assign(this.#socket, { write: this.#writeRest });
  }

  readonly #writeRest = (data: string | Uint8Array, ...more: unknown[]): boolean => {
    const socket = this.#socket;
    const rest = typeof data === "string" ? data.slice(this.#sent) : data.subarray(this.#sent);
    this.#sent = 0;
    Reflect.deleteProperty(socket, "write");
    return Reflect.apply(socket.write, socket, [rest, ...more]);
  };
}
