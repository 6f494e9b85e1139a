import { declaresEvents } from "../protocol/events.ts";
import { type JsonObject, RawJson } from "../protocol/jsonrpc.ts";
import {
  type Exchange,
  type Handle,
  type Handler,
  needsOwner,
  type Services,
  waiterOf,
} from "../requests/request.ts";
import { DEFINITION } from "../webhooks/subscriptions/event.ts";
import { answer, relay } from "./bridge.ts";

/** The methods of the Events extension, for the one event that the gateway tells of. */
export function eventMethods({
  events,
  engine,
}: Pick<Services, "events" | "engine">): Readonly<Record<string, Handler<Exchange>>> {
  if (events === undefined) return {};
  /** Unless the server, of an older revision, says that it has events. */
  const ours =
    (handle: Handle): Handle =>
    async (exchange) => {
      if (declaresEvents(await capabilitiesOf(exchange))) return relay(exchange);
      needsOwner(exchange);
      if (exchange.caller.isIdentified !== true) throw events.errors.forbidden();
      return handle(exchange);
    };
  const listEvents: Handle = async (exchange) => answer(exchange, { events: [DEFINITION] });

  const subscribe: Handle = async (exchange) => {
    const { owner } = exchange;
    const taskOf = (id: string) => engine.find(id, owner, waiterOf(exchange));
    answer(exchange, await events.subscribe(owner, paramsOf(exchange), taskOf));
  };

  const unsubscribe: Handle = async (exchange) => {
    await events.unsubscribe(exchange.owner, paramsOf(exchange));
    answer(exchange, {});
  };

  return {
    "events/list": { handle: ours(listEvents) },
    "events/subscribe": { handle: ours(subscribe) },
    "events/unsubscribe": { handle: ours(unsubscribe) },
  };
}

/** What an older server declares; nothing for one that cannot be asked, whose tasks are there all the same. */
async function capabilitiesOf({ server, route, sessionOwner }: Exchange): Promise<JsonObject> {
  if (server !== undefined) return {};
  const { capabilities } = await route.upstream.describe(sessionOwner).catch(() => ({ capabilities: {} }));
  return capabilities;
}

/** The params, with arguments that were too bulky to parse for everybody. */
function paramsOf({ params }: Pick<Exchange, "params">): JsonObject {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [name, value instanceof RawJson ? value.parse() : value]),
  );
}
