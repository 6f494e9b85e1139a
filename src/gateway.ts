import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Config, ServerConfig, UpstreamConfig } from "./config/config.ts";
import { adminApp, gatewayListener, gatewayMiddleware, httpServer } from "./edge/app.ts";
import { anonymous, type Identify } from "./edge/callers.ts";
import { counted, mcpEndpoint } from "./edge/endpoint.ts";
import { hostGuard } from "./edge/guards.ts";
import { Backchannels } from "./lanes/backchannels.ts";
import type { Route } from "./lanes/lane.ts";
import { OpenStreams } from "./lanes/open-streams.ts";
import { TransparentLane } from "./lanes/transparent.ts";
import { createLog } from "./ops/log.ts";
import { within } from "./ops/within.ts";
import { openStore } from "./stores/open.ts";
import { TaskEngine } from "./tasks/engine.ts";
import { HeldCalls } from "./tasks/held.ts";
import { policyOf } from "./tasks/policy.ts";
import { Slots } from "./tasks/slots.ts";
import { type UpstreamAgents, upstreamAgents } from "./upstreams/fetch.ts";
import { Upstream } from "./upstreams/upstream.ts";
import { VERSION } from "./version.ts";

/** A gateway that is listening. */
export interface Gateway {
  /** Where it listens, e.g. `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly adminUrl?: string;
  readonly routes: readonly RouteLine[];
  /** Stops taking requests, lets the calls that run end within `limits.drainTimeout`, and writes down the rest as lost. */
  close(): Promise<void>;
}

/** What the gateway says of a route when it is ready. */
export interface RouteLine {
  readonly name: string;
  readonly url: string;
  readonly upstream: string;
  /** E.g. `legacy 2025-06-18`, or why the server could not be reached. */
  readonly description: string;
  readonly store: string;
}

export interface GatewayOptions {
  readonly log?: Logger;
  /** Says who is calling, for programs that know; everybody is the same caller unless it is given. */
  readonly identify?: Identify;
}

/**
 * Starts a gateway. A server that cannot be reached is no obstacle: it is tried again with every request.
 * @throws when the store cannot be opened or an address cannot be bound; nothing is left open then
 */
export async function startGateway(config: Config, options: GatewayOptions = {}): Promise<Gateway> {
  const core = await openCore(config, options);
  const servers: Server[] = [];
  try {
    const server = await listenOn(httpServer(gatewayListener(core)), config.listen, servers);
    const admin = config.admin && (await listenOn(httpServer(adminApp(core.isReady)), config.admin, servers));
    const url = urlOf(server);
    return {
      url,
      ...(admin === undefined ? {} : { adminUrl: urlOf(admin) }),
      routes: await Promise.all(core.served.map((route) => describe(route, url, config))),
      close: () => core.close(servers),
    };
  } catch (error) {
    await core.close(servers);
    throw error;
  }
}

/** The gateway as a middleware of an Express app, or of anything that speaks its language. */
export interface Middleware {
  (request: IncomingMessage, response: ServerResponse, next: () => void): void;
  close(): Promise<void>;
}

/**
 * The gateway without a listener of its own, to be mounted where no body parser comes before it. `listen` says which
 * hosts and origins it answers to.
 * @throws when the store cannot be opened
 */
export async function taskgate(config: Config, options: GatewayOptions = {}): Promise<Middleware> {
  const core = await openCore(config, options);
  return Object.assign(gatewayMiddleware(core), { close: () => core.close([]) });
}

/** A server that does not answer must not keep the others' clients waiting. */
const PROBE_MS = 5_000;
const GOODBYE_MS = 100;

async function openCore(
  config: Config,
  { log = createLog(config.log.level), identify = anonymous }: GatewayOptions,
) {
  const store = await openStore(config.store.url);
  const engine = new TaskEngine({ store, log });
  const held = new HeldCalls();
  const agents = upstreamAgents();
  const { maxBodyBytes, keepAliveMs, drainTimeoutMs } = config.limits;
  const transparent = new TransparentLane();
  const backchannels = new Backchannels(engine);
  const streams = new OpenStreams(keepAliveMs);
  const stopping = new AbortController();
  const served = config.servers.map((server): Route => {
    const routeLog = log.child({ server: server.name });
    const shared = { engine, held, transparent, backchannels, streams, stopping: stopping.signal };
    return { ...routeOf(server, agents, routeLog), ...shared, log: routeLog };
  });
  const routes = new Map(
    served.flatMap((route) =>
      [route.config.path, ...route.config.aliases].map((path) => [path, route] as const),
    ),
  );
  const guard = hostGuard(config.listen);
  const { endpoint, idle } = counted(mcpEndpoint({ guard, identify, maxBodyBytes, keepAliveMs }));

  let closing: Promise<void> | undefined;
  const shutDown = async (servers: readonly Server[]) => {
    stopping.abort();
    streams.stop();
    const closed = servers.map(closeServer);
    // When nobody waits for an answer any more, no call can become a task any more.
    await within(
      drainTimeoutMs,
      idle().then(() => engine.settled()),
    );
    await engine.close();
    held.close();
    backchannels.close();
    transparent.close();
    // Who still waits is told that we stop, and that has to be written before the connections are closed.
    await within(GOODBYE_MS, idle());
    for (const server of servers) server.closeAllConnections();
    await Promise.all(closed);
    await Promise.all(served.map(({ upstream }) => upstream.close()));
    await agents.destroy();
    await store.close();
  };
  return {
    served,
    routes,
    endpoint,
    isReady: () => !stopping.signal.aborted,
    close: (servers: readonly Server[]) => (closing ??= shutDown(servers)),
  };
}

function routeOf(config: ServerConfig, agents: UpstreamAgents, log: Logger) {
  const largest = Math.max(
    config.tasks.maxResultBytes,
    ...config.tools.map(({ maxResultBytes }) => maxResultBytes),
  );
  const upstream = new Upstream({
    config: config.upstream,
    agents,
    clientInfo: { name: "mcp-taskgate", version: VERSION },
    // Room for the message round the result, and for saying how much too large it was.
    maxMessageBytes: 2 * largest + 65_536,
    log,
  });
  return { config, upstream, policy: policyOf(config), slots: new Slots(config) };
}

async function describe({ config, upstream }: Route, base: string, { store }: Config): Promise<RouteLine> {
  const line = {
    name: config.name,
    url: `${base}${config.path}`,
    upstream: addressOf(config.upstream),
    store: store.url,
  };
  const control = upstream.control({ caller: "anonymous", headers: {}, capabilities: {} });
  const probe = control.describe().then(
    ({ protocolVersion }) => `legacy ${protocolVersion}`,
    (error: unknown) => `unreachable: ${error instanceof Error ? error.message : String(error)}, will retry`,
  );
  const late = sleep(PROBE_MS, `unreachable: no answer within ${PROBE_MS} ms, will retry`, { ref: false });
  return { ...line, description: await Promise.race([probe, late]) };
}

/** What a query or the environment says may be a secret. */
function addressOf(upstream: UpstreamConfig): string {
  if (upstream.transport === "stdio") return [upstream.command, ...upstream.args].map(shown).join(" ");
  return `${upstream.url.origin}${upstream.url.pathname}`;
}

/** A word as it is, unless it would not be seen as one word on one line. */
function shown(word: string): string {
  return /^[\x21-\x7e]+$/.test(word) ? word : JSON.stringify(word);
}

async function listenOn(
  server: Server,
  { host, port }: { host: string; port: number },
  opened: Server[],
): Promise<Server> {
  server.listen(port, host);
  await once(server, "listening");
  opened.push(server);
  return server;
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
