import type { Socket } from "node:net";
import { buildConnector } from "undici";
import { isOutOfDescriptors } from "../failure.ts";

/**
 * Makes connections whose end cannot crash the process. While nobody reads an answer, undici's parser pauses. Until version 8, which needs a
 * newer Node, undici asserts in socket listeners, where no caller can catch it, that the parser is not paused when the connection ends. Here
 * the end waits until the answer is read; an end that cannot wait breaks the answer, with an error for its reader.
 * @param timeoutMs how long connecting may take
 * @param connect makes a connection; undici's connector unless given
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

/** How long to wait for a free file descriptor: that the gateway has none left is no answer of the server. */
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
      // Too late to destroy the socket: after an error undici does not check whether the answer is complete.
      emit("error", broken);
      return emit("close", ...args);
    }
  };
}

/** Emits the end again at the next `read`, which is what undici's parser calls first when it resumes. */
function keepBack(socket: Socket): true {
  // Without this the ended socket would close itself, and drop what is still to be read.
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

/** Renames ECONNRESET: undici takes it for the end of an answer without a length, on the way to the same assertion. */
function renamed(error: unknown): unknown {
  const isReset = error instanceof Error && (error as NodeJS.ErrnoException).code === "ECONNRESET";
  return isReset
    ? Object.assign(new Error(error.message, { cause: error }), { code: "UND_ERR_SOCKET" })
    : error;
}
