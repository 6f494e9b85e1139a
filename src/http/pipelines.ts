import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** How many requests may wait on one connection for the answer to another. */
const MAX_WAITING = 64;

/**
 * Watches requests that clients send before those ahead of them are answered (RFC 9112 §9.3.2). The gateway serves all at once, and their
 * answers wait for each other. node:http stops reading only at the size of unsent answers, so this closes a connection with more than
 * `MAX_WAITING` requests. And node:http reports a client's leaving only to the answer that has begun; this reports it to all answers, or
 * the work for them would go on for ever.
 *
 * Returns whether to serve a request.
 */
export function pipelines(): (request: IncomingMessage, response: ServerResponse) => boolean {
  const waiting = new WeakMap<Socket, Set<ServerResponse>>();
  return ({ socket }, response) => {
    // A response has its connection at once, unless another response has it.
    if (response.socket !== null) return true;
    const line = waiting.get(socket) ?? newLine(socket);
    if (line.size >= MAX_WAITING || socket.destroyed) {
      socket.destroy();
      return false;
    }
    waiting.set(socket, line);
    line.add(response);
    response.once("close", () => line.delete(response));
    return true;
  };
}

function newLine(socket: Socket): Set<ServerResponse> {
  const line = new Set<ServerResponse>();
  socket.once("close", () => {
    for (const response of line) {
      // node:http has told the response whose turn it is.
      if (response.socket !== null) continue;
      response.destroy();
      response.emit("close");
    }
  });
  return line;
}
