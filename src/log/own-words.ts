import type { Logger } from "pino";
import { loggable } from "./one-line.ts";

/**
 * A logger that writes of an error (`err`) and its causes only type, code, stack and the gateway's own message: a server's words, an
 * unreadable text or the options of a request may contain credentials or the contents of a task.
 */
export function inOwnWords(log: Logger): Logger {
  return log.child({}, { serializers: { err: told } });
}

/** Per message. */
const MAX_CHARS = 2_000;
/** Deep enough for every chain of causes that matters. */
const MAX_CAUSES = 5;
/** Errors whose messages quote their input. */
const QUOTING = new Set(["SyntaxError", "ZodError", "HTTPParserError", "SdkError"]);
/** Errors whose messages continue, after a colon, with the words of a server or library. */
const REPEATING = new Set(["UpstreamFailure", "RpcError", "ProtocolError"]);

interface Told {
  readonly type: string;
  readonly message?: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: Told;
}

function told(thrown: unknown, depth = 0): Told {
  if (!(thrown instanceof Error)) return { type: typeof thrown };
  const { name, message, stack, cause } = thrown;
  const { code } = thrown as NodeJS.ErrnoException;
  // The first lines of a stack repeat the message.
  const frames = (stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return {
    type: name,
    ...(QUOTING.has(name) ? {} : { message: ownPart(name, message) }),
    ...(typeof code === "string" ? { code } : {}),
    ...(frames.length === 0 ? {} : { stack: frames.join("\n") }),
    ...(cause === undefined || depth >= MAX_CAUSES ? {} : { cause: told(cause, depth + 1) }),
  };
}

/** A message without foreign words. One that says what was expected ends with what came instead (`got …`). */
export function ownPart(name: string, message: string): string {
  const ours = REPEATING.has(name) ? message.replace(/:[\s\S]*$/, "") : message;
  return loggable(ours.replace(/,? got ["{[][\s\S]*$/, ""), MAX_CHARS);
}
