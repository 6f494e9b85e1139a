import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Server as SecureServer } from "node:https";
import { type AddressInfo, Server as Listener } from "node:net";
import type { Readable, Writable } from "node:stream";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Reload } from "./admin/reloads.ts";
import { describeRoute, type RouteLine } from "./announcement.ts";
import type { AdminConfig, Config } from "./config/config.ts";
import type { ConfigFile } from "./config/config-file.ts";
import { type Core, type Listeners, openCore } from "./core.ts";
import { type AdminOptions, adminApp } from "./http/admin/admin.ts";
import { api } from "./http/admin/api.ts";
import { adminGuard } from "./http/admin/guard.ts";
import type { Answered } from "./http/answered.ts";
import { gatewayListener, gatewayMiddleware, httpServer } from "./http/app.ts";
import type { Identify } from "./http/callers/identify.ts";
import { documentsFor, identifierFor } from "./http/callers/open.ts";
import { ListenerCertificate } from "./http/certificate.ts";
import { mcpEndpoint } from "./http/endpoint.ts";
import { hostGuard, isLoopbackName } from "./http/guards.ts";
import { headerScreen, screened, screenedAfter } from "./http/header-screen.ts";
import { OpenRequests } from "./http/open-requests.ts";
import type { Status } from "./http/status.ts";
import { Unsent } from "./http/unsent.ts";
import { descriptorWarning, maxDescriptors } from "./lib/descriptors.ts";
import { createLog } from "./log/log.ts";
import { Reloader } from "./reload.ts";
import type { Route } from "./requests/request.ts";
import { StdioFront } from "./stdio/stdio.ts";
import { storeName } from "./store-url.ts";
import { addressOf } from "./upstream/address.ts";
import { VERSION } from "./version.ts";

export type { RouteLine };

/** A gateway that is listening. */
export interface Gateway {
  /** Where it listens, e.g. `http://127.0.0.1:8080`, or with https. */
  readonly url: string;
  readonly adminUrl?: string;
  readonly routes: readonly RouteLine[];
  /** Takes over the configuration file as it is now, if all of it is good. Never rejects. Absent: no file was given. */
  reload?(): Promise<Reload>;
  /**
   * Begins no more calls, gives running ones up to `limits.drainTimeout` to end, and then hands the rest off to other gateways,
   * or records it as lost. Answers everything else until then.
   */
  close(): Promise<void>;
}

export interface GatewayOptions {
  readonly log?: Logger;
  /** Settles when the program no longer waits for the routes' descriptions: the gateway is to stop before it was ready. */
  readonly enough?: Promise<unknown>;
  /** Whether to ask the servers for their tools at the start, to say what becomes of each. Absent: no. */
  readonly listsTools?: boolean;
  /** Identifies callers, for programs that can. Absent: the gateway does, as `callers` of the configuration says. */
  readonly identify?: Identify;
  /** The file of the configuration, to be read again. Absent: the configuration stays as it is. */
  readonly file?: ConfigFile;
}

/**
 * Starts a gateway. A server that it cannot reach is no obstacle: it tries again with every request.
 * @throws when it cannot open the store or bind an address; it leaves nothing open then
 */
export async function startGateway(config: Config, options: GatewayOptions = {}): Promise<Gateway> {
  const { core, app, openRequests, log } = await openHttp(config, options);
  const { enough, listsTools, file } = options;
  const { maxConnections } = config.limits;
  const warning = descriptorWarning(await maxDescriptors(), maxConnections);
  if (warning !== undefined) log.warn({ setting: "limits.maxConnections" }, warning);
  const servers: Server[] = [];
  const listeners = listenersOf(servers, openRequests, core);
  try {
    const { tls } = config.listen;
    const certificate = tls && (await ListenerCertificate.open({ files: tls, log }));
    const server = await listenOn(
      httpServer(gatewayListener(app), { ...config.limits, certificate, log }),
      config.listen,
      servers,
      "--port (listen.port)",
    );
    const onApplied = ({ limits }: Config) => {
      server.maxConnections = limits.maxConnections;
    };
    const reloader = file && new Reloader({ file, config, core, onApplied, log });
    const reload = reloader && (() => reloader.reload());
    const admin =
      config.admin &&
      (await listenOn(
        httpServer(
          adminApp(adminOf(core, config.admin, { log, reload, readyPath: config.listen.readyPath })),
          { log },
        ),
        config.admin,
        servers,
        "--admin-port (admin.port)",
      ));
    const url = urlOf(server);
    return {
      url,
      ...(admin === undefined ? {} : { adminUrl: urlOf(admin) }),
      routes: await Promise.all(
        core.routes.served.map((route) => describeRoute(route, config, { base: url, enough, listsTools })),
      ),
      ...(reload === undefined ? {} : { reload }),
      close: () => core.close({ ...listeners, areWatched: true }),
    };
  } catch (error) {
    await core.close(listeners);
    throw error;
  }
}

/** The gateway as middleware of an Express app, or of anything with the same interface. */
export interface Middleware {
  (request: IncomingMessage, response: ServerResponse, next: () => void): void;
  close(): Promise<void>;
}

/**
 * The gateway without a listener of its own. Mount it where no body parser comes before it. `listen` says which hosts and origins
 * it answers.
 * @throws when it cannot open the store
 */
export async function taskgate(
  config: Config,
  options: Omit<GatewayOptions, "file"> = {},
): Promise<Middleware> {
  const { core, app, openRequests } = await openHttp(config, options);
  return Object.assign(gatewayMiddleware(app), {
    close: () => core.close(listenersOf([], openRequests, core)),
  });
}

/** A gateway that serves one client over two streams. */
export interface StdioGateway {
  /**
   * Settles when the client no longer reads, or has closed the input and has its answers: those of requests that were open then have
   * `limits.drainTimeout`, unless there is a signal.
   */
  readonly clientLeft: Promise<void>;
  /** Settles when a legacy client's session is over, because the server has gone or no longer accepts it. */
  readonly serverLeft: Promise<void>;
  /** Passes a signal to stop on to the server, unless it works on tasks that outlive this process: those may end first. Close next. */
  signal(signal: NodeJS.Signals): void;
  /**
   * As `close` of `Gateway`, but does not wait for tasks that nobody could ever ask for, because the client has gone and the
   * tasks are in memory; and for no task at all once `hurry` settles.
   */
  close(hurry?: Promise<unknown>): Promise<void>;
}

export interface StdioOptions extends Pick<GatewayOptions, "log"> {
  /** What the client writes, and what it reads; nothing else may write to `output`. */
  readonly input: Readable;
  readonly output: Writable;
}

/**
 * Serves one client over two streams: the client starts this gateway in place of the one server of `config`.
 * @throws when it cannot open the store
 */
export async function serveStdio(config: Config, options: StdioOptions): Promise<StdioGateway> {
  const { input, output, log = createLog(config.log.level) } = options;
  if (config.servers.length !== 1)
    throw new Error(`stdio stands in front of one server, got ${config.servers.length}`);
  const core = await openCore(config, log);
  const [route] = core.routes.served as [Route];
  const isForgetful = config.store.url === "memory:";
  const front = new StdioFront({
    route,
    ...core.handlers,
    bytes: core.quotas.bytes,
    input,
    output,
    maxLineBytes: config.limits.maxBodyBytes,
    maxDepth: config.limits.maxDepth,
    drainTimeoutMs: config.limits.drainTimeoutMs,
    isAlone: isForgetful,
    traces: core.traces,
  });
  const listeners = {
    areWatched: false,
    drain: () => front.idle(),
    refuse: async () => {},
    admit: async () => {},
    stop: () => front.idle(),
    cut: () => front.close(),
  };
  log.info(
    {
      server: route.config.name,
      upstream: addressOf(route.config.upstream),
      store: storeName(config.store.url),
    },
    "ready on standard input and output",
  );
  return {
    clientLeft: front.clientLeft,
    serverLeft: front.serverLeft,
    signal: (signal) => {
      front.hurry();
      if (isForgetful || core.running === 0) route.upstream.signal(signal);
    },
    close: (hurry) => {
      const reasons = [...(hurry === undefined ? [] : [hurry]), ...(isForgetful ? [front.clientLeft] : [])];
      return core.close(listeners, Promise.race(reasons));
    },
  };
}

/** The fraction of `limits.total.bytes` that large answers may take while clients have not read them. */
const UNSENT = 1 / 2;

/** What a listener and a middleware have in common. */
async function openHttp(
  config: Config,
  { log = createLog(config.log.level), identify: given }: GatewayOptions,
) {
  const core = await openCore(config, log);
  const screen = headerScreen(config);
  const identify =
    given === undefined
      ? screened(identifierFor(config, { secret: core.secret, log }), screen)
      : screenedAfter(given, screen);
  const { limits } = core;
  const { maxDepth, keepAliveMs, keepsJsonAlive } = limits;
  const guard = hostGuard(config.listen);
  const { handlers, report, quotas, metrics, callCounts } = core;
  const onAnswered =
    metrics &&
    (({ route, message, error }: Answered, ms: number) =>
      metrics.answered(route.config.name, message, error?.code, ms));
  const { bytes } = quotas;
  const maxUnsent = () => UNSENT * (limits.total.bytes ?? Number.POSITIVE_INFINITY);
  const unsent = new Unsent(maxUnsent, bytes, limits.maxWaitMs);
  const openRequests = new OpenRequests();
  const endpoint = openRequests.through(
    mcpEndpoint({
      guard,
      identify,
      get maxBodyBytes() {
        return limits.maxBodyBytes;
      },
      maxDepth,
      keepAliveMs,
      keepsJsonAlive,
      handlers,
      bytes,
      report,
      unsent,
      onAnswered,
      callCounts,
      traces: core.traces,
    }),
  );
  const routes = () => core.routes.byPath;
  // A program that identifies callers itself has its own documents.
  const documents = given === undefined ? documentsFor(config, routes) : undefined;
  const { readyPath } = config.listen;
  const ready = readyPath === undefined ? undefined : { path: readyPath, status: () => statusOf(core) };
  return { core, app: { routes, endpoint, documents, guard, ready, log }, openRequests, log };
}

function adminOf(
  core: Core,
  { host, token, readToken }: AdminConfig,
  {
    log,
    reload,
    readyPath,
  }: {
    readonly log: Logger;
    readonly reload: (() => Promise<Reload>) | undefined;
    readonly readyPath: string | undefined;
  },
): AdminOptions {
  const { metrics, admin, stopping } = core;
  const access = { token, readToken, isLocal: isLoopbackName(host) };
  return {
    log,
    status: () => statusOf(core),
    isOfTheMainPort: (path) => path === readyPath || core.routes.byPath.has(path),
    guard: adminGuard(host),
    ...(metrics === undefined ? {} : { scrape: (accept) => metrics.scrape(accept) }),
    ...(admin === undefined ? {} : { api: api({ admin, version: VERSION, stopping, reload, ...access }) }),
  };
}

function statusOf({ isStopping, isStoreWritable }: Core): Status {
  if (isStopping) return "stopping";
  return isStoreWritable ? "ready" : "store takes no writes";
}

function listenersOf(servers: readonly Server[], openRequests: OpenRequests, { handlers }: Core): Listeners {
  let closed: Promise<unknown> = Promise.resolve();
  return {
    areWatched: false,
    drain: () => openRequests.drain(),
    refuse: async () => {
      // The admin listener stays open: until the end it answers whether the process lives and why it is not ready.
      const [main] = servers;
      if (main === undefined) return;
      await untilTaken([main]);
      // `close` of node:http would also disconnect the clients that are between two requests.
      Listener.prototype.close.call(main);
    },
    admit: () => untilTaken(servers),
    stop: async () => {
      closed = Promise.all(servers.map(closeServer));
      // Also waits for requests that are still on their way on accepted connections.
      await Promise.all([closed, openRequests.idle()]);
    },
    cut: async () => {
      await handlers.legacy.pairs.close();
      for (const server of servers) server.closeAllConnections();
      await closed;
    },
  };
}

async function listenOn(
  server: Server,
  { host, port }: { host: string; port: number },
  opened: Server[],
  setting: string,
): Promise<Server> {
  server.listen(port, host);
  await once(server, "listening").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "EADDRINUSE") throw cause;
    throw new Error(`${cause.message}: another program listens there; choose another port with ${setting}`);
  });
  opened.push(server);
  return server;
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}

/** Connections may come faster than the gateway accepts them. */
const TAKING_MS = 1_000;
/** The listener hears of a connection after the client does: on a busy machine, or over a network, some time later. */
const QUIET_MS = 50;

/**
 * Settles when the servers have accepted the connections that clients have made already: the system breaks those that still wait
 * when a listener closes. Node accepts one in each turn of its loop.
 */
async function untilTaken(servers: readonly Server[]): Promise<void> {
  let isQuiet: boolean;
  const take = () => {
    isQuiet = false;
  };
  for (const server of servers) server.on("connection", take);
  const deadline = performance.now() + TAKING_MS;
  do {
    isQuiet = true;
    await sleep(QUIET_MS);
    // The turn of the loop that the timer ends has not looked for connections yet.
    await setImmediate();
  } while (!isQuiet && performance.now() < deadline);
  for (const server of servers) server.off("connection", take);
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  const scheme = server instanceof SecureServer ? "https" : "http";
  return `${scheme}://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
