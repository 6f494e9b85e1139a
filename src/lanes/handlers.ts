import { Forwarder } from "./forward.ts";
import type { Services } from "./lane.ts";
import { LegacyHandler } from "./legacy.ts";
import { type ModernHandler, modernHandler } from "./modern.ts";

/** The handlers that answer requests. */
export interface Handlers {
  readonly modern: ModernHandler;
  readonly legacy: LegacyHandler;
  readonly forwarder: Forwarder;
}

export function handlersFor(services: Services): Handlers {
  const forwarder = new Forwarder(services);
  return {
    forwarder,
    modern: modernHandler(services, forwarder),
    legacy: new LegacyHandler(services, forwarder),
  };
}
