import { type Gateway, startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { configFor, type GatewaySettings } from "../support/gateway.ts";
import { ModernClient } from "../support/modern-client.ts";

export interface InFrontOf {
  readonly gateway: Gateway;
  /** A client with these capabilities, none unless given. */
  client(capabilities?: JsonObject): ModernClient;
}

/** Where to register the clean-up: tests that run at the same time each have their own `onTestFinished`. */
export type AtEnd = (cleanUp: () => Promise<void>) => void;

/**
 * A gateway in this process, for tests that run at the same time, or share one. It waits long enough for a quick tool on a
 * busy machine.
 */
export async function inFrontOf(
  upstream: GatewaySettings["upstream"],
  atEnd: AtEnd,
  policy: GatewaySettings["policy"] = {},
  sessions: GatewaySettings["sessions"] = "lease",
): Promise<InFrontOf> {
  const config = configFor({ upstream, sessions, policy: { waitForMs: 500, ...policy } });
  const gateway = await startGateway(config, { log: createLog("silent") });
  atEnd(() => gateway.close());
  const url = new URL(gateway.routes[0]?.url ?? "");
  return { gateway, client: (capabilities = {}) => new ModernClient(url, { capabilities }) };
}
