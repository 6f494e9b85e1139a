import { UnreadableValue } from "../task-store.ts";

/** Error replies of a server that cannot serve us now, though another may: it is a replica, it is loading, its slots have moved. */
const ELSEWHERE = /^(READONLY|MOVED|ASK|CLUSTERDOWN|TRYAGAIN|LOADING|MASTERDOWN|UNBLOCKED|NOAUTH)\b/;

/** Whether a value is no JSON, or of a type of Redis that the gateway does not write. */
export function isDamaged(error: unknown): boolean {
  return error instanceof SyntaxError || (isReply(error) && error.message.startsWith("WRONGTYPE"));
}

/** Whether a failed command calls for a new connection. A fault of the command or of a value does not. */
export function isOfNoUse(error: unknown): boolean {
  if (error instanceof SyntaxError || error instanceof TypeError || error instanceof UnreadableValue)
    return false;
  return !isReply(error) || ELSEWHERE.test(error.message);
}

/** An error's message up to the first quotation: servers quote what they do not understand, and a key contains a task's id. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split(/(?<!\w)['"`]/, 1)[0]?.trim() || "it failed";
}

/** Whether the error is a reply of the server. The client library does not export its class. */
function isReply(error: unknown): error is Error {
  for (let made: unknown = error; made instanceof Error; made = Object.getPrototypeOf(made)) {
    if (made.constructor.name === "ErrorReply") return true;
  }
  return false;
}
