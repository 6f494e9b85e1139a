import type { Logger } from "pino";
import { loggable } from "./one-line.ts";

/**
 * A logger that tells of an error (`err`) what it is, where it was and what the gateway says of it, and nothing else: the words of a
 * server, a text that could not be read, or the options of a request may have credentials in them, or what a task is about.
 */
export function inOwnWords(log: Logger): Logger {
  return log.child({}, { serializers: { err: told } });
}

/** Of one message. */
const MAX_CHARS = 2_000;
/** Deep enough for whatever has a reason to be told. */
const MAX_CAUSES = 5;
/** Their messages repeat what they complain of. */
const QUOTING = new Set(["SyntaxError", "ZodError", "HTTPParserError", "SdkError"]);
/** Messages of failures say what happened, and after a colon what somebody else said to it. */
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
  // The first lines of a stack are the message once more.
  const frames = (stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return {
    type: name,
    ...(QUOTING.has(name) ? {} : { message: ownPart(name, message) }),
    ...(typeof code === "string" ? { code } : {}),
    ...(frames.length === 0 ? {} : { stack: frames.join("\n") }),
    ...(cause === undefined || depth >= MAX_CAUSES ? {} : { cause: told(cause, depth + 1) }),
  };
}

/** Messages that say what was expected end with what came instead. */
function ownPart(name: string, message: string): string {
  const ours = REPEATING.has(name) ? message.replace(/:[\s\S]*$/, "") : message;
  return loggable(ours.replace(/,? got ["{[][\s\S]*$/, ""), MAX_CHARS);
}
