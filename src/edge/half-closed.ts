import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { beat } from "../lanes/beat.ts";

/**
 * When it is looked whether a client still reads, in milliseconds after its FIN: at once, twice, since a client on the same machine may have
 * come again already for what it has left; then after 1, 4, 13 and so on. The write that fails is the one after the reset, which takes as
 * long as the client is far away.
 */
const SPREAD = 3;

export interface HalfClosedOptions {
  /** Between two looks; 15 s unless given. */
  readonly longestPauseMs?: number;
  /** How long a client waits to which nothing can be sent: for the head of its answer, and behind it. 2 s and 60 s unless given. */
  readonly untoldMs?: { readonly head: number; readonly rest: number };
}

/**
 * Has a server answer clients that close their half of the connection once they have asked, and still read (RFC 9112 §9.6). By its
 * FIN alone such a client cannot be told from one that has left, and for which nothing is to go on: both are sent something that
 * means nothing, and the system of one that has left answers with a reset, of which the next write learns. That is the beginning of the
 * answer, which is the same for all, then 102 Processing, and on a stream a comment. Where nothing can be sent, as before an answer to
 * HTTP/1.0 that is no stream, the client is taken to have left after some seconds.
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

/** Finds out, again and again, whether a client still reads, until it has its answers. */
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
    // The others wait for it (RFC 9112 §9.3.2).
    const current = [...responses].find((response) => response.socket === socket);
    // What is on its way to the client tells as much.
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

/** @param isLate whether an answer may become a stream for it, which has a status of 200 and no other */
function saySomething(response: ServerResponse, beginning: Beginning, isLate: boolean): void {
  const { httpVersionMajor, httpVersionMinor } = response.req;
  if (response.headersSent) beat(response);
  else if (!beginning.isSpent) beginning.sendLetter();
  else if (httpVersionMajor === 1 && httpVersionMinor >= 1) response.writeProcessing();
  else if (isLate) beat(response);
}

/** The beginning of every answer, to HTTP/1.0 as well (RFC 9112 §2.3), sent letter by letter before it is known how it goes on. */
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
    // Whatever node:http writes next begins with what has been sent.
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
