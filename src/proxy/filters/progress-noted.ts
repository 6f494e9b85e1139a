import { EventSplitter, readEvent } from "../../protocol/event-stream.ts";
import { isObject, isSameId, parseJson } from "../../protocol/jsonrpc.ts";
import { hasProgress, type Progress } from "../../upstream/sessions/session.ts";
import type { Filter } from "../reverse-proxy.ts";

/** A longer event is no progress. */
const MAX_EVENT_BYTES = 65_536;
const PROGRESS = "notifications/progress";

/** A stream of messages that passes as `next` has it, of which `note` hears the server's progress under a token. */
export function withProgressNoted(
  next: Filter,
  progressToken: unknown,
  note: (progress: Progress) => void,
): Filter {
  const splitter = new EventSplitter(MAX_EVENT_BYTES);
  const look = (event: Buffer) => {
    if (splitter.isOverrun || !event.includes(PROGRESS)) return;
    const { data } = readEvent(event);
    const message = data === undefined ? undefined : parseJson(data);
    if (!isObject(message) || message.method !== PROGRESS || !isObject(message.params)) return;
    const { progressToken: token, ...progress } = message.params;
    if (isSameId(token, progressToken) && hasProgress(progress)) note(progress);
  };
  return {
    take: (chunk) => {
      for (const event of splitter.push(chunk)) look(event);
      return next.take(chunk);
    },
    finish: () => next.finish(),
    cutOff: () => next.cutOff?.(),
  };
}
