import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** How many requests may wait on one connection for the answer to another. */
const MAX_WAITING = 64;

/**
 * Watches over requests that are sent before those ahead of them are answered (RFC 9112 §9.3.2). All of them are served at once, and
 * their answers wait for each other: nothing but the size of what has been said keeps node:http from reading more, so beyond some of
 * them the connection is closed. And node:http tells nobody that a client has gone to whom the answer had not begun; here all are told,
 * or what they have asked for would go on for ever.
 *
 * Returns whether a request is to be served.
 */
export function pipelines(): (request: IncomingMessage, response: ServerResponse) => boolean {
  const waiting = new WeakMap<Socket, Set<ServerResponse>>();
  return ({ socket }, response) => {
    // It has its connection at once, unless another answer has it.
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
      // The one that has its turn has been told.
      if (response.socket !== null) continue;
      response.destroy();
      response.emit("close");
    }
  });
  return line;
}
