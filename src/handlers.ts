import type { LegacyServices } from "./legacy/client-streams.ts";
import { LegacyHandler } from "./legacy/handler.ts";
import { type ModernHandler, modernHandler } from "./modern/handler.ts";
import { Forwarder } from "./proxy/forwarder.ts";
import type { ReverseProxy } from "./proxy/reverse-proxy.ts";

/** The handlers that answer requests. */
export interface Handlers {
  readonly modern: ModernHandler;
  readonly legacy: LegacyHandler;
  readonly forwarder: Forwarder;
}

export function handlersFor(services: LegacyServices & { readonly proxy: ReverseProxy }): Handlers {
  const forwarder = new Forwarder(services);
  return {
    forwarder,
    modern: modernHandler(services, forwarder),
    legacy: new LegacyHandler(services, forwarder),
  };
}
