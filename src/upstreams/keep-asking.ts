import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import type { CallSession } from "./session.ts";

const KEEPALIVE_MS = 15_000;

/** A server gives up on a question after a while, and some of them wait longer when they are told of progress.
 * Returns how to stop. */
export function keepAsking(session: CallSession, params: JsonObject | undefined): () => void {
  const progressToken = isObject(params?._meta) ? params._meta.progressToken : undefined;
  if (progressToken === undefined) return () => {};
  let progress = 0;
  const timer = setInterval(() => {
    progress += 1;
    session.notify("notifications/progress", { progressToken, progress });
  }, KEEPALIVE_MS);
  return () => clearInterval(timer);
}
