/** What a server says that cannot serve us now, though another may: it is a replica, it is loading, its slots have gone elsewhere. */
const ELSEWHERE = /^(READONLY|MOVED|ASK|CLUSTERDOWN|TRYAGAIN|LOADING|MASTERDOWN|UNBLOCKED|NOAUTH)\b/;

/** Whether a connection on which a command failed so had better be made anew. What is wrong with the command or a value is no reason. */
export function isOfNoUse(error: unknown): boolean {
  if (error instanceof SyntaxError || error instanceof TypeError) return false;
  return !isReply(error) || ELSEWHERE.test(error.message);
}

/** What may be said of an error. Servers quote what they did not understand, and a key says which task it was. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split(/(?<!\w)['"`]/, 1)[0]?.trim() || "it failed";
}

/** Whether the server itself said it. The client's own classes for that are not exported. */
function isReply(error: unknown): error is Error {
  for (let made: unknown = error; made instanceof Error; made = Object.getPrototypeOf(made)) {
    if (made.constructor.name === "ErrorReply") return true;
  }
  return false;
}
