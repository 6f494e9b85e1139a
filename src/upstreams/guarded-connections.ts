import type { Socket } from "node:net";
import { buildConnector } from "undici";

/**
 * Makes connections whose end cannot end the process. While nobody reads an answer undici's parser pauses, and until version 8, which
 * needs a newer Node, it asserts in listeners of the socket, where nobody can catch it, that it does not when the connection ends. What
 * is thrown there breaks the connection instead, and whoever wanted the answer is told so.
 * @param timeoutMs how long connecting may take
 */
export function guardedConnector(timeoutMs: number): buildConnector.connector {
  const connect = buildConnector({ timeout: timeoutMs });
  return (options, callback) =>
    connect(options, (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      guard(socket);
      callback(null, socket);
    });
}

function guard(socket: Socket): void {
  const emit = socket.emit.bind(socket);
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    try {
      return emit(event, ...(event === "error" ? args.map(renamed) : args));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ERR_ASSERTION") throw error;
      socket.destroy(new Error("the connection ended before the answer was read", { cause: error }));
      return true;
    }
  };
}

/** A reset is taken for the end of an answer without a length, on the same way to the assertion; it is an error like any other. */
function renamed(error: unknown): unknown {
  const isReset = error instanceof Error && (error as NodeJS.ErrnoException).code === "ECONNRESET";
  return isReset
    ? Object.assign(new Error(error.message, { cause: error }), { code: "UND_ERR_SOCKET" })
    : error;
}
