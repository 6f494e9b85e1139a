/** Servers of any kind behind one gateway, and what reached each of them. All are closed when the test ends. */

import type { ServerResponse } from "node:http";
import type { Logger } from "pino";
import { onTestFinished } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { type Origin, type ReceivedRequest, startOrigin } from "../gateway/transparent/origins.ts";
import { configFor, type GatewaySettings } from "../support/gateway.ts";

export interface Fronted {
  /** Where the gateway listens. */
  readonly url: URL;
  /** In the order of the routes. */
  readonly origins: readonly Origin[];
  /** What reached them, in no order between them; without the question of the gateway who they are. */
  reached(): readonly Reached[];
  /** Ends one of the servers, and every connection to it. */
  stop(server?: number): Promise<void>;
}

export interface Reached extends ReceivedRequest {
  /** Which of the servers it reached. */
  readonly server: number;
}

export interface FrontedOptions extends Omit<GatewaySettings, "upstream"> {
  /** The paths of the servers' endpoints by those of the routes. */
  readonly routes?: Readonly<Record<string, string>>;
  /** What every server answers; unless given, the body it got. */
  readonly answer?: (request: ReceivedRequest, response: ServerResponse) => void;
  /** What the gateway writes to its log; unless given, nothing. */
  readonly logger?: Logger;
}

/** One server at `/tested/mcp` and `/mcp`, whose own endpoint is at `/base/mcp`, unless told otherwise. */
export async function fronted(options: FrontedOptions = {}): Promise<Fronted> {
  const { logger = createLog("silent"), ...settings } = options;
  const { config, origins } = await frontedConfig(settings);
  const gateway = await startGateway(config, { log: logger });
  onTestFinished(() => gateway.close());
  return {
    url: new URL(gateway.url),
    origins,
    reached: () => reached(origins),
    stop: async (server = 0) => {
      const http = origins[server]?.server;
      http?.closeAllConnections();
      await new Promise((resolve) => http?.close(resolve));
    },
  };
}

/** The servers, and the configuration of a gateway in front of them. */
export async function frontedConfig({
  routes = { "/tested/mcp": "/base/mcp" },
  answer = ({ body }, response) => void response.end(body),
  ...settings
}: FrontedOptions): Promise<{ readonly config: Config; readonly origins: readonly Origin[] }> {
  const entries = Object.entries(routes);
  const origins = await Promise.all(entries.map(() => startOrigin(answer)));
  const configs = entries.map(([path, endpoint], index) =>
    configFor({
      upstream: new URL(endpoint, origins[index]?.url),
      // Or the gateway would ask in two ways who they are.
      transport: "streamable-http",
      ...settings,
      server: { name: `server-${index}`, path, aliases: entries.length === 1 ? ["/mcp"] : [] },
    }),
  );
  const [first] = configs;
  if (first === undefined) throw new Error("there is a route");
  return { origins, config: { ...first, servers: configs.flatMap(({ servers }) => servers) } };
}

export function reached(origins: readonly Origin[]): readonly Reached[] {
  return origins.flatMap(({ received }, server) =>
    received.filter(({ body }) => !isProbe(body)).map((request) => ({ ...request, server })),
  );
}

/** When it starts, the gateway asks every server who it is, in the way of each era. */
function isProbe(body: Buffer): boolean {
  return body.includes('clientInfo":{"name":"mcp-taskgate"');
}
