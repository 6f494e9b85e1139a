import { isEventsMethod } from "../protocol/events.ts";
import type { Asked, Services } from "../requests/request.ts";
import type { ModernServer } from "../upstream/modern/server.ts";

/**
 * Whether the gateway itself tells a caller of events. The server has none, and no tasks of its own, which the gateway would know nothing
 * of; and the caller is told apart from others, to whom its tasks are not to be told.
 */
export function tellsEvents(
  { events }: Pick<Services, "events">,
  { caller, server }: Pick<Asked, "caller" | "server">,
): boolean {
  return (
    events !== undefined && caller.isIdentified === true && (server === undefined || !isTheServers(server))
  );
}

/** Whether a request that a server of 2026-07-28 would get is about the events that the gateway tells of. */
export function isAboutOurEvents(
  { events }: Pick<Services, "events">,
  { method, server }: Pick<Asked, "method" | "server">,
): boolean {
  return events !== undefined && isEventsMethod(method) && server !== undefined && !isTheServers(server);
}

/** Whether a server that speaks 2026-07-28 answers `events/*` itself, or has tasks of its own. */
function isTheServers(server: ModernServer): boolean {
  return server.hasEvents || server.hasTasks;
}
