/** A server that judges every request by its credential, and a gateway in front of it. */

import { onTestFinished } from "vitest";
import { startDoorkeeper } from "../../support/doorkeeper.ts";
import { type GatewaySettings, gatewayFor } from "../../support/gateway.ts";
import { ModernClient } from "../../support/modern-client.ts";
import {
  type Script,
  type ScriptedServerOptions,
  startScriptedServer,
} from "../../support/scripted-server.ts";

export interface Guarded {
  readonly takes: Parameters<typeof startDoorkeeper>[1];
  /** Whose tokens it says that it takes. */
  readonly issuer?: string;
  readonly scripts: Readonly<Record<string, Script>>;
  readonly options?: ScriptedServerOptions;
}

/** Starts them; every call is a task, unless `settings` say otherwise. They are closed when the test ends. */
export async function guarded(
  { takes, issuer, scripts, options }: Guarded,
  settings: Partial<GatewaySettings> = {},
) {
  const server = await startScriptedServer(scripts, options);
  onTestFinished(server.close);
  const door = await startDoorkeeper(server.url, takes, issuer);
  const gateway = await gatewayFor({
    upstream: door.url,
    callers: { identify: "auto" },
    policy: { mode: "always" },
    ...settings,
  });
  const as = (authorization: string) => new ModernClient(gateway.url, { headers: { authorization } });
  return { ...gateway, server, door, as };
}
