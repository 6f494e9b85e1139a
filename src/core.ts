import { setMaxListeners } from "node:events";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { Admin } from "./admin/admin.ts";
import { AdminEvents } from "./admin/events.ts";
import { Refusals } from "./admin/refusals.ts";
import { Reloads } from "./admin/reloads.ts";
import { plainCall } from "./calls/new-call.ts";
import type { Config, LimitsConfig } from "./config/config.ts";
import { type Handlers, handlersFor } from "./handlers.ts";
import { ClientStreams } from "./legacy/client-streams.ts";
import { steadyNow } from "./lib/clock.ts";
import { durationText } from "./lib/duration-text.ts";
import { within } from "./lib/within.ts";
import { Quotas } from "./limits/quotas.ts";
import { inOwnWords, ownPart } from "./log/own-words.ts";
import { audit } from "./observers/audit.ts";
import { callerName } from "./observers/caller-name.ts";
import { CallCounts } from "./observers/calls/call-counts.ts";
import { lines } from "./observers/lines.ts";
import { Metrics } from "./observers/metrics/metrics.ts";
import type { Traces } from "./observers/traces/traces.ts";
import { ReverseProxy } from "./proxy/reverse-proxy.ts";
import { Fallback } from "./requests/fallback.ts";
import { OpenStreams } from "./requests/open-streams.ts";
import { maxMessageBytes, Routes, type RoutesChange } from "./routes.ts";
import { openStore } from "./store/open.ts";
import type { TaskStore } from "./store/task-store.ts";
import { agoOf } from "./store/time.ts";
import { isShared } from "./store-url.ts";
import { CallsAwaitingInput } from "./tasks/awaiting-input.ts";
import { Drain } from "./tasks/drain.ts";
import { TaskEngine } from "./tasks/engine.ts";
import { PollThrottle } from "./tasks/poll-throttle.ts";
import { reviver } from "./tasks/revive.ts";
import { type Observer, observers, type TaskEvent } from "./tasks/task-event.ts";
import { upstreamAgents } from "./upstream/transports/agents.ts";
import { Upstream } from "./upstream/upstream.ts";
import { VERSION } from "./version.ts";
import { ClientSubscriptions } from "./webhooks/subscriptions/client-subscriptions.ts";
import { subscribersOf, Webhooks } from "./webhooks/webhooks.ts";

/** The transport-independent gateway: store, upstreams, task engine, and their shutdown order. */
export interface Core {
  /** The key for the names of callers that have nothing but a credential; the same for all gateways that use the store. */
  readonly secret: Buffer;
  readonly routes: Routes;
  /** As they are now: the same object, whatever configuration is applied. */
  readonly limits: LimitsConfig;
  readonly handlers: Handlers;
  /** Tells all who want to know what happens to tasks. */
  readonly report: Observer;
  readonly quotas: Quotas;
  /** Absent where nobody could read them. */
  readonly metrics?: Metrics;
  /** The same. */
  readonly callCounts?: CallCounts;
  /** What an operator sees and can do. Absent where nobody could. */
  readonly admin?: Admin;
  /** What has become of the attempts to take over another configuration. */
  readonly reloads: Reloads;
  /** Absent where requests leave none. */
  readonly traces?: Traces;
  /** Whether it was told to stop, though it may go on as before for a while (`limits.shutdownDelay`). */
  readonly isStopping: boolean;
  /** Aborted when the gateway begins to stop. */
  readonly stopping: AbortSignal;
  /** How many tasks run in this process. */
  readonly running: number;
  /** Whether the store accepts tasks, as far as known without trying. */
  readonly isStoreWritable: boolean;
  /**
   * Takes over the servers and limits of another configuration, all at once. What runs, runs on; what is not there any more drains. Of the
   * rest it must have what this one has.
   */
  apply(config: Config): RoutesChange;
  /**
   * Gives running calls up to `limits.drainTimeout` to end, or until `enough` settles; then hands the rest off to other gateways,
   * or records it as lost. Only the first call counts.
   */
  close(listeners: Listeners, enough?: Promise<unknown>): Promise<void>;
}

/** Where requests come in, and the steps that end that, in this order. */
export interface Listeners {
  /** Whether somebody asks whether the gateway is ready, to send it no more connections if not. */
  readonly areWatched: boolean;
  /** Begins the end: settles when the requests that are here now have their answers. Later requests are served as well. */
  drain(): Promise<void>;
  /** Accepts no new connections, except those that clients have made already. Keeps serving connected clients. */
  refuse(): Promise<void>;
  /** Accepts the connections that clients have made already. `stop` must follow at once. */
  admit(): Promise<void>;
  /** Accepts no more connections, and settles when all clients have gone. */
  stop(): Promise<void>;
  /** Closes the connections that remain. */
  cut(): Promise<void>;
}

/** Time for the last answers, and for telling waiting clients that the gateway stops, before it closes their connections. */
const GOODBYE_MS = 250;
/** How long the store may take to record that this gateway has gone. Without the record, others wait for the lease to expire. */
const LEAVE_MS = 2_000;

/** @throws when it cannot open the store, or send traces as the environment says */
export async function openCore(initial: Config, given: Logger): Promise<Core> {
  const log = inOwnWords(given);
  const traces = await tracesOf(initial, log);
  let config = initial;
  // Whoever holds the limits sees them change.
  const limits: LimitsConfig = { ...config.limits };
  let metrics: Metrics | undefined;
  const store = await openStore(config.store.url, {
    ...config.store,
    warn: (message) => log.warn(message),
    // Other gateways on a shared store may have an operator.
    isIndexed: config.admin !== undefined || isShared(config.store.url),
    subscribers: subscribersOf(config.webhooks),
    hasSubscriptions: config.events !== undefined,
    facts: { host: hostname(), pid: process.pid, version: VERSION, startedAt: steadyNow() },
    ...(config.admin === undefined ? {} : { onOperation: (...what) => metrics?.stored(...what) }),
  });
  const secret = await store.secret().catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  const { hashesCallers } = config.log;
  const nameOf = (caller: string) => callerName(caller, hashesCallers ? secret : undefined);
  const clock = () => store.now?.() ?? steadyNow();
  const events = new AdminEvents({ nameOf, clock });
  const refusals = new Refusals({ nameOf, clock });
  const webhooks = new Webhooks({
    webhooks: config.webhooks,
    store,
    log,
    clock,
    nameOf,
    version: VERSION,
    onTried: (webhook, outcome) => metrics?.told(webhook, outcome),
  });
  const clientEvents =
    config.events &&
    new ClientSubscriptions({
      config: config.events,
      store,
      secret,
      log,
      clock,
      version: VERSION,
      onTried: (outcome) => metrics?.toldClient(outcome),
    });
  const agents = upstreamAgents();
  const { newCall } = traces ?? { newCall: plainCall };
  const { maxWaitMs, restartGapMs, maxDepth } = config.limits;
  const routes = new Routes(config.servers, {
    log,
    open: (server, serverLog, before) =>
      new Upstream({
        config: server.upstream,
        agents,
        clientInfo: { name: "mcp-taskgate", version: VERSION },
        maxMessageBytes: maxMessageBytes(server),
        maxDepth,
        // Clients of HTTP+SSE keep their streams, and post for them.
        messagePaths: before?.messagePaths,
        log: serverLog,
        onGone: (failure) => serverLog.warn(`gone: ${ownPart(failure.name, failure.message)}`),
        onBack: (afterMs) => serverLog.info(`back after ${durationText(afterMs)}`),
      }),
    isHeld: (route) => handlers.legacy.pairs.isUsing(route),
    onGone: (name) => {
      metrics?.forget(name);
      callCounts?.forget(name);
    },
  });
  const quotas = new Quotas(limits, {
    maxWaitMs,
    ...(store.isLasting ? {} : { storeBytes: () => store.heldBytes ?? 0 }),
  });
  const callCounts = config.admin && callCountsOf(routes);
  const engine = new TaskEngine({
    store,
    quotas,
    log,
    revive: reviver((name) => routes.find(name), agoOf(store), newCall),
    maxUnwrittenBytes: config.limits.maxUnwrittenBytes,
    maxWaitMs,
    report: observers([
      ...logging(config, log, nameOf),
      ...(traces === undefined ? [] : [traces.observe]),
      ...(config.webhooks.length === 0 ? [] : [webhooks.observe]),
      ...(config.admin === undefined ? [] : [(event: TaskEvent) => metrics?.observe(event), events.observe]),
      ...(callCounts === undefined ? [] : [callCounts.observe, refusals.observe]),
    ]),
  });
  const reloads = new Reloads();
  metrics = config.admin && metricsOf({ config, routes, engine, quotas, reloads, clientEvents });
  const admin =
    callCounts &&
    new Admin({
      config: () => config,
      store,
      engine,
      routes: () => routes.served,
      reloads,
      events,
      webhooks,
      clientEvents,
      refusals,
      callCounts,
      nameOf,
      withPayloads: config.admin?.payloads ?? false,
    });
  const awaitingInput = new CallsAwaitingInput(engine);
  const proxy = new ReverseProxy();
  const clientStreams = new ClientStreams(engine);
  const streams = new OpenStreams(config.limits.keepAliveMs, config.limits.keepsJsonAlive);
  const stopping = new AbortController();
  // Each request that waits for a call of another gateway listens.
  setMaxListeners(0, stopping.signal);
  const pollThrottle = new PollThrottle({ watch: (id, changed) => engine.watch(id, changed), maxWaitMs });
  const drain = new Drain({ restartGapMs, maxWaitMs });
  const fallback = new Fallback(secret);
  const tasks = {
    engine,
    awaitingInput,
    clientStreams,
    // Of a gateway whose store ends with it, no client can have a session.
    sessionNotes: store.isLasting ? store.sessionNotes : undefined,
    pollThrottle,
    drain,
    fallback,
    callCounts,
    newCall,
    traces,
    events: clientEvents,
  };
  const handlers = handlersFor({ ...tasks, quotas, proxy, streams, stopping: stopping.signal });
  // Not awaited: a request for a task takes over that task at once.
  void engine.begin();
  if (config.webhooks.length > 0) webhooks.begin();
  clientEvents?.begin();

  let closing: Promise<void> | undefined;
  const shutDown = async (listeners: Listeners, enough: Promise<unknown>) => {
    const { shutdownDelayMs } = limits;
    if (listeners.areWatched && shutdownDelayMs > 0) {
      log.info(
        `stopping in ${shutdownDelayMs / 1_000} s (limits.shutdownDelay): not ready any more, so that load balancers go elsewhere; a second signal ends the gateway at once`,
      );
      await sleep(shutdownDelayMs);
    }
    // Not ready any more: the gateway refuses calls, ends the streams that only listen, and answers everything else until the listeners
    // close.
    const { drainTimeoutMs } = limits;
    log.info({ tasks: engine.running }, stopLine(engine.running, drainTimeoutMs));
    drain.begin(drainTimeoutMs);
    stopping.abort();
    streams.stop();
    pollThrottle.stop();
    engine.takeOverNoMore();
    // If other gateways use the store, balancers must see at once that this one takes no connections. The only gateway stays open: its
    // clients have nowhere else to go.
    const isAlone = store.isAlone().catch(() => false);
    const refused = isAlone.then((alone) => (alone ? undefined : listeners.refuse()));
    // Running calls may end. Once the present requests have their answers, none of their calls can become a task any more.
    const settled = listeners
      .drain()
      .then(() => engine.settled())
      .then(() => drain.allAnswered())
      .then(async () => ((await isAlone) ? drain.allFetched() : undefined));
    await within(drainTimeoutMs, Promise.race([settled, enough]));
    // The gateway tells clients that wait for a call that has not ended to come back when a gateway is there again.
    drain.end();
    // The engine writes the unfinished tasks, for other gateways to resume or as lost; only then `leave` gives them up. After that this
    // process writes nothing as an owner.
    await engine.close();
    events.close();
    const goodbye = sleep(GOODBYE_MS);
    await Promise.all([webhooks.close(goodbye), clientEvents?.close(goodbye)]);
    awaitingInput.close();
    clientStreams.close();
    await leave(store, log);
    await refused;
    await listeners.admit();
    const gone = listeners.stop();
    await within(GOODBYE_MS, gone);
    proxy.close();
    await within(GOODBYE_MS, gone);
    await listeners.cut();
    await Promise.all([traces?.close(), routes.close()]);
    await agents.destroy();
    await store.close();
  };
  return {
    secret,
    routes,
    limits,
    handlers,
    quotas,
    reloads,
    report: engine.report,
    ...(metrics === undefined ? {} : { metrics }),
    ...(callCounts === undefined ? {} : { callCounts }),
    ...(admin === undefined ? {} : { admin }),
    ...(traces === undefined ? {} : { traces }),
    stopping: stopping.signal,
    get isStopping() {
      return closing !== undefined;
    },
    get running() {
      return engine.running;
    },
    get isStoreWritable() {
      return store.isWritable;
    },
    apply: (next) => {
      config = next;
      Object.assign(limits, { perRoute: undefined }, next.limits);
      return routes.apply(next.servers);
    },
    close: (listeners, enough = NEVER) => (closing ??= shutDown(listeners, enough)),
  };
}

/** What an operator who has just sent a signal wants to know. */
function stopLine(tasks: number, drainTimeoutMs: number): string {
  if (tasks === 0) return "stopping: no task runs; answering open requests";
  const run = tasks === 1 ? "1 task runs" : `${tasks} tasks run`;
  return `stopping: ${run}, with ${drainTimeoutMs / 1_000} s to end (limits.drainTimeout); a second signal ends the gateway at once`;
}

const NEVER = new Promise<never>(() => {});

/** Gives up the tasks that remain in the store. A store that does not answer does not keep the gateway from stopping. */
async function leave(store: TaskStore, log: Logger): Promise<void> {
  let hasLeft = false;
  const leaving = store.leave().then(() => {
    hasLeft = true;
  });
  let err: unknown;
  await within(LEAVE_MS, leaving).catch((error: unknown) => {
    err = error;
  });
  if (!hasLeft)
    log.warn(
      { err },
      "could not tell the store that this gateway stops; others take over its tasks when store.lease expires",
    );
}

/** Loads what it takes to trace only for those who do. */
async function tracesOf({ tracing }: Config, log: Logger): Promise<Traces | undefined> {
  if (tracing === "off") return undefined;
  const { openTraces } = await import("./observers/traces/open.ts");
  return openTraces(tracing, log);
}

/** What of it goes into the log. */
function logging(
  { log: { isAudited } }: Config,
  log: Logger,
  nameOf: (caller: string) => string,
): readonly Observer[] {
  const told = lines({ log, nameOf });
  return isAudited ? [told, audit({ log, nameOf })] : [told];
}

function metricsOf({
  config: { webhooks },
  routes,
  engine,
  quotas,
  reloads,
  clientEvents,
}: {
  readonly config: Config;
  readonly routes: Routes;
  readonly engine: TaskEngine;
  readonly quotas: Quotas;
  readonly reloads: Reloads;
  readonly clientEvents: ClientSubscriptions | undefined;
}): Metrics {
  return new Metrics({
    version: VERSION,
    servers: () =>
      routes.served.map(({ config, upstream }) => ({
        name: config.name,
        // Of the server that has the name when it is asked.
        lists: (tool) => routes.find(config.name)?.upstream.listed.has(tool) ?? false,
        sessions: () => upstream.sessions,
        isThere: () => upstream.presence.isThere,
        returns: () => upstream.presence.returns,
      })),
    webhooks: webhooks.map(({ name }) => name),
    ...(clientEvents === undefined ? {} : { subscriptions: () => clientEvents.size }),
    reloads,
    tasks: () => engine.states(),
    storedBytes: () => quotas.storedBytes,
    unwrittenBytes: () => engine.unwrittenBytes,
  });
}

function callCountsOf(routes: Routes): CallCounts {
  return new CallCounts({
    servers: () =>
      routes.served.map(({ config: { name } }) => ({
        name,
        // Of the server that has the name when it is asked.
        lists: (tool) => routes.find(name)?.upstream.listed.has(tool) ?? false,
      })),
    now: () => performance.now(),
  });
}
