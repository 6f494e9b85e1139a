import type { Logger } from "pino";
import type { Config, ServerConfig } from "./config/config.ts";
import { Backchannels } from "./lanes/backchannels.ts";
import { type Handlers, handlersFor } from "./lanes/handlers.ts";
import type { Route, Services } from "./lanes/lane.ts";
import { OpenStreams } from "./lanes/open-streams.ts";
import { TransparentLane } from "./lanes/transparent.ts";
import { Audit } from "./ops/audit.ts";
import { inOwnWords } from "./ops/own-words.ts";
import { within } from "./ops/within.ts";
import { Quotas } from "./quotas/quotas.ts";
import { openStore } from "./stores/open.ts";
import type { TaskStore } from "./stores/task-store.ts";
import { agoOf } from "./stores/time.ts";
import { Drain } from "./tasks/drain.ts";
import { TaskEngine } from "./tasks/engine.ts";
import { HeldCalls } from "./tasks/held.ts";
import { PollPace } from "./tasks/pace.ts";
import { policyOf } from "./tasks/policy.ts";
import { reviver } from "./tasks/revive.ts";
import { Slots } from "./tasks/slots.ts";
import { type UpstreamAgents, upstreamAgents } from "./upstreams/agents.ts";
import { Upstream } from "./upstreams/upstream.ts";
import { VERSION } from "./version.ts";

/** A gateway without anybody who could reach it. */
export interface Core {
  /** What callers are named with who have nothing but a credential; the same for all gateways on the store. */
  readonly secret: Buffer;
  readonly routes: readonly Route[];
  readonly handlers: Handlers;
  readonly audit: Audit | undefined;
  readonly quotas: Quotas;
  readonly isStopping: boolean;
  /** Whether tasks can be written down, as far as that is known without trying. */
  readonly isStoreWritable: boolean;
  /**
   * Lets the calls that run end within `limits.drainTimeout`, or until `enough` settles, and leaves the rest to others, or
   * writes it down as lost. Only the first time counts.
   */
  close(intake: Intake, enough?: Promise<unknown>): Promise<void>;
}

/** Where requests come in, and how that ends: step by step, in this order. */
export interface Intake {
  /** The beginning of the end: settles when those who are here now have their answers. Whoever comes later is served as well. */
  drain(): Promise<void>;
  /** Takes no new connections any more, but those that clients have made already. Whoever is connected is served on. */
  refuse(): Promise<void>;
  /** Lets those in who have come already. To be followed by `stop` at once. */
  admit(): Promise<void>;
  /** Lets nobody in any more, and settles when everybody has gone. */
  stop(): Promise<void>;
  /** Parts with whoever is still there. */
  cut(): Promise<void>;
}

/** Those who came last are answered, and who waits in vain is told that we stop, before the connections are closed. */
const GOODBYE_MS = 250;
/** How long the store may take to note that we have gone. Without that, others wait for the lease to run out. */
const LEAVE_MS = 2_000;

/** @throws when the store cannot be opened */
export async function openCore(config: Config, given: Logger): Promise<Core> {
  const log = inOwnWords(given);
  const store = await openStore(config.store.url, { ...config.store, warn: (message) => log.warn(message) });
  const secret = await store.secret().catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  const agents = upstreamAgents();
  const routes = config.servers.map((server) =>
    routeOf(server, config.limits, agents, log.child({ server: server.name })),
  );
  const { maxWaitMs, restartGapMs } = config.limits;
  const quotas = new Quotas(config.limits, {
    maxWaitMs,
    ...(store.isLasting ? {} : { storeBytes: () => store.heldBytes ?? 0 }),
  });
  const engine = new TaskEngine({
    store,
    quotas,
    log,
    revive: reviver(routes, agoOf(store)),
    maxUnwrittenBytes: config.limits.maxUnwrittenBytes,
    maxWaitMs,
    audit: auditFor(config, log, secret),
  });
  const held = new HeldCalls(engine);
  const transparent = new TransparentLane();
  const backchannels = new Backchannels(engine);
  const streams = new OpenStreams(config.limits.keepAliveMs);
  const stopping = new AbortController();
  const pace = new PollPace({ watch: (id, changed) => engine.watch(id, changed), maxWaitMs });
  const drain = new Drain({ restartGapMs, maxWaitMs });
  const tasks = { engine, held, backchannels, pace, drain };
  const services: Services = { ...tasks, quotas, transparent, streams, stopping: stopping.signal };
  const handlers = handlersFor(services);
  // Nobody waits for it: whoever asks for a task sees to that task at once.
  void engine.begin();

  let closing: Promise<void> | undefined;
  const shutDown = async (intake: Intake, enough: Promise<unknown>) => {
    // Not ready any more: calls are refused, streams to listen on end, and all the rest is answered until the listeners close.
    log.info({ tasks: engine.running }, stopLine(engine.running, config.limits.drainTimeoutMs));
    drain.begin(config.limits.drainTimeoutMs);
    stopping.abort();
    streams.stop();
    pace.stop();
    engine.adoptNoMore();
    // Where others have the store, balancers are to see at once that they find nobody here. The only one there is stays open: its clients
    // have nowhere else to go.
    const isAlone = store.isAlone().catch(() => false);
    const refused = isAlone.then((alone) => (alone ? undefined : intake.refuse()));
    // What was under way may end. When those who were here have their answers, no call of theirs can become a task any more.
    const settled = intake
      .drain()
      .then(() => engine.settled())
      .then(() => drain.allAnswered())
      .then(async () => ((await isAlone) ? drain.allFetched() : undefined));
    await within(config.limits.drainTimeoutMs, Promise.race([settled, enough]));
    // Who waits for a call that has not ended is told to come back when somebody else is there.
    drain.end();
    // What has not ended is written down, for others to pick up or as lost; and only then is it anybody's. As an owner this
    // process writes nothing after that.
    await engine.close();
    held.close();
    backchannels.close();
    await leave(store, log);
    await refused;
    await intake.admit();
    const gone = intake.stop();
    await within(GOODBYE_MS, gone);
    transparent.close();
    await within(GOODBYE_MS, gone);
    await intake.cut();
    await Promise.all(routes.map(({ upstream }) => upstream.close()));
    await agents.destroy();
    await store.close();
  };
  return {
    secret,
    routes,
    handlers,
    quotas,
    audit: engine.audit,
    get isStopping() {
      return stopping.signal.aborted;
    },
    get isStoreWritable() {
      return store.isWritable;
    },
    close: (intake, enough = NEVER) => (closing ??= shutDown(intake, enough)),
  };
}

/** What an operator who has just sent a signal wants to know. */
function stopLine(tasks: number, drainTimeoutMs: number): string {
  if (tasks === 0) return "stopping: no task runs; answering open requests";
  const run = tasks === 1 ? "1 task runs" : `${tasks} tasks run`;
  return `stopping: ${run}, with ${drainTimeoutMs / 1_000} s to end (limits.drainTimeout); a second signal ends the gateway at once`;
}

const NEVER = new Promise<never>(() => {});

/** Lets go of what is left in the store. A store that does not answer keeps nobody from stopping. */
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

function auditFor({ log: { isAudited, hashesCallers } }: Config, log: Logger, secret: Buffer) {
  return isAudited ? new Audit({ log, ...(hashesCallers ? { callerKey: secret } : {}) }) : undefined;
}

function routeOf(
  config: ServerConfig,
  { maxDepth }: Config["limits"],
  agents: UpstreamAgents,
  log: Logger,
): Route {
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
    maxDepth,
    log,
  });
  return { config, upstream, policy: policyOf(config), slots: new Slots(config), log };
}
