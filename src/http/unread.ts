import type { ServerResponse } from "node:http";

/** How long a client may go on sending what the gateway does not want. */
const LINGER_MS = 10_000;

/**
 * Ends an answer, and its connection, while the request still arrives (RFC 9112 §9.6). Closing a connection over unread bytes resets it,
 * and a client that has yet to send the rest would never see the answer: so this reads and drops the rest of the request.
 * The head must have been written, with the length of the message.
 */
export function endUnread(response: ServerResponse, message: string): void {
  const { req: request, socket } = response;
  // Another answer comes first (RFC 9112 §9.3.2), and has the connection for now.
  if (socket === null) return void response.end(message);
  const close = () => void socket.destroy();
  const patience = setTimeout(close, LINGER_MS).unref();
  request.once("end", close).once("close", () => clearTimeout(patience));
  response.flushHeaders();
  response.write(message, () => socket.end());
  request.resume();
}
