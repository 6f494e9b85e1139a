import type { Socket } from "node:net";
import { buildConnector } from "undici";
import { isOutOfDescriptors } from "./failure.ts";

/**
 * Makes connections whose end cannot end the process. While nobody reads an answer undici's parser pauses, and until version 8, which
 * needs a newer Node, it asserts in listeners of the socket, where nobody can catch it, that it does not when the connection ends. Here
 * the end waits until the answer is read; what cannot wait breaks the answer, and whoever wanted that is told so.
 * @param timeoutMs how long connecting may take
 * @param connect makes a connection; absent: as undici does
 */
export function guardedConnector(
  timeoutMs: number,
  connect: buildConnector.connector = buildConnector({ timeout: timeoutMs }),
): buildConnector.connector {
  return (options, callback) => {
    const until = performance.now() + Math.min(timeoutMs, DESCRIPTOR_WAIT_MS);
    const attempt = () =>
      connect(options, (...[error, socket]) => {
        if (error === null) {
          guard(socket);
          callback(null, socket);
        } else if (isOutOfDescriptors(error) && performance.now() < until)
          setTimeout(attempt, RETRY_MS).unref();
        else callback(error, null);
      });
    attempt();
  };
}

/** That the gateway has no file descriptor left is no answer of the server: whoever wants to reach it waits until another is closed. */
const DESCRIPTOR_WAIT_MS = 5_000;
const RETRY_MS = 100;

function guard(socket: Socket): void {
  const emit = socket.emit.bind(socket);
  socket.emit = (event: string | symbol, ...args: unknown[]) => {
    try {
      return emit(event, ...(event === "error" ? args.map(renamed) : args));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ERR_ASSERTION") throw error;
      if (event === "end") return keepBack(socket);
      const broken = new Error("the connection ended before the answer was read", { cause: error });
      if (event !== "close") return socket.destroy(broken).destroyed;
      // It is too late to destroy it: after an error nobody asks whether the answer is complete.
      emit("error", broken);
      return emit("close", ...args);
    }
  };
}

/** Ends the connection once more when its bytes are asked for again, which is the first thing that a parser does that goes on. */
function keepBack(socket: Socket): true {
  // A socket that has ended would close itself, and with it what is still to be read.
  socket.allowHalfOpen = true;
  const read = socket.read;
  socket.read = (size?: number) => {
    socket.read = read;
    process.nextTick(() => {
      if (!socket.destroyed) socket.emit("end");
    });
    return read.call(socket, size);
  };
  return true;
}

/** A reset is taken for the end of an answer without a length, on the same way to the assertion; it is an error like any other. */
function renamed(error: unknown): unknown {
  const isReset = error instanceof Error && (error as NodeJS.ErrnoException).code === "ECONNRESET";
  return isReset
    ? Object.assign(new Error(error.message, { cause: error }), { code: "UND_ERR_SOCKET" })
    : error;
}
