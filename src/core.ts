import type { Logger } from "pino";
import type { Config, ServerConfig } from "./config/config.ts";
import { Backchannels } from "./lanes/backchannels.ts";
import type { Route } from "./lanes/lane.ts";
import { OpenStreams } from "./lanes/open-streams.ts";
import { TransparentLane } from "./lanes/transparent.ts";
import { within } from "./ops/within.ts";
import { openStore } from "./stores/open.ts";
import { TaskEngine } from "./tasks/engine.ts";
import { HeldCalls } from "./tasks/held.ts";
import { policyOf } from "./tasks/policy.ts";
import { Slots } from "./tasks/slots.ts";
import { type UpstreamAgents, upstreamAgents } from "./upstreams/fetch.ts";
import { Upstream } from "./upstreams/upstream.ts";
import { VERSION } from "./version.ts";

/** A gateway without anybody who could reach it. */
export interface Core {
  readonly routes: readonly Route[];
  readonly isStopping: boolean;
  /**
   * Lets the calls that run end within `limits.drainTimeout`, or until `enough` settles, and writes down the rest as lost.
   * Only the first time counts.
   */
  close(intake: Intake, enough?: Promise<unknown>): Promise<void>;
}

/** Where requests come in, and how that ends: step by step, in this order. */
export interface Intake {
  /** Lets nobody in any more. */
  stop(): void;
  /** Settles when nobody waits for an answer any more. */
  idle(): Promise<void>;
  /** Parts with whoever is still there. */
  cut(): Promise<void>;
}

/** Who still waits is told that we stop, and that has to be written before the connections are closed. */
const GOODBYE_MS = 100;

/** @throws when the store cannot be opened */
export async function openCore(config: Config, log: Logger): Promise<Core> {
  const store = await openStore(config.store.url);
  const engine = new TaskEngine({ store, log });
  const held = new HeldCalls();
  const agents = upstreamAgents();
  const transparent = new TransparentLane();
  const backchannels = new Backchannels(engine);
  const streams = new OpenStreams(config.limits.keepAliveMs);
  const stopping = new AbortController();
  const routes = config.servers.map((server): Route => {
    const routeLog = log.child({ server: server.name });
    const shared = { engine, held, transparent, backchannels, streams, stopping: stopping.signal };
    return { ...routeOf(server, agents, routeLog), ...shared, log: routeLog };
  });

  let closing: Promise<void> | undefined;
  const shutDown = async (intake: Intake, enough: Promise<unknown>) => {
    stopping.abort();
    streams.stop();
    intake.stop();
    // When nobody waits for an answer any more, no call can become a task any more.
    const settled = intake.idle().then(() => engine.settled());
    await within(config.limits.drainTimeoutMs, Promise.race([settled, enough]));
    await engine.close();
    held.close();
    backchannels.close();
    transparent.close();
    await within(GOODBYE_MS, intake.idle());
    await intake.cut();
    await Promise.all(routes.map(({ upstream }) => upstream.close()));
    await agents.destroy();
    await store.close();
  };
  return {
    routes,
    get isStopping() {
      return stopping.signal.aborted;
    },
    close: (intake, enough = NEVER) => (closing ??= shutDown(intake, enough)),
  };
}

const NEVER = new Promise<never>(() => {});

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
