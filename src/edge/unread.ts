import type { ServerResponse } from "node:http";

/** How long a client may go on sending what nobody wants. */
const LINGER_MS = 10_000;

/**
 * Ends an answer, and its connection, while the request is still coming (RFC 9112 §9.6). A connection that is closed over unread
 * bytes is reset, and a client that has yet to send all of its request would never see the answer: so what comes is taken and
 * dropped, until there is no more of it.
 * The head must have been written, with the length of the message.
 */
export function endUnread(response: ServerResponse, message: string): void {
  const { req: request, socket } = response;
  // Another answer comes first (RFC 9112 §9.3.2), and the connection is that one's for now.
  if (socket === null) return void response.end(message);
  const close = () => void socket.destroy();
  const patience = setTimeout(close, LINGER_MS).unref();
  request.once("end", close).once("close", () => clearTimeout(patience));
  response.flushHeaders();
  response.write(message, () => socket.end());
  request.resume();
}
