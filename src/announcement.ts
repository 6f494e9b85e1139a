import { setTimeout as sleep } from "node:timers/promises";
import { policyOf } from "./calls/policy.ts";
import type { Config, TaskMode } from "./config/config.ts";
import { durationText } from "./lib/duration-text.ts";
import { oneLine } from "./log/one-line.ts";
import { MODERN_VERSION } from "./protocol/modern.ts";
import type { Route } from "./requests/request.ts";
import { storeName } from "./store-url.ts";
import { addressOf } from "./upstream/address.ts";
import type { Upstream } from "./upstream/upstream.ts";

/** What the gateway reports about a route when it is ready. */
export interface RouteLine {
  readonly name: string;
  readonly url: string;
  /** The other URLs of the route. */
  readonly aliases: readonly string[];
  readonly upstream: string;
  /** E.g. `legacy 2025-06-18`, or why the server could not be reached. */
  readonly description: string;
  readonly store: string;
  /** The server's name and version, as it gives them. Absent: unknown yet. */
  readonly server?: string;
  /** How many tools it has, and when their calls become tasks, e.g. `3 tools: 2 auto (a task after 250 ms), 1 never (echo)`. */
  readonly tools?: string;
}

/** A server that does not answer must not keep the others' clients waiting. */
const PROBE_MS = 5_000;
/** So many tools are named, of those for which there is a rule. */
const NAMED_TOOLS = 3;
const NOBODY = { caller: "anonymous", headers: {}, capabilities: {} };

export interface DescribeOptions {
  /** Where the gateway listens. */
  readonly base: string;
  /** Settles when nobody waits for the answer any more. */
  readonly enough?: Promise<unknown> | undefined;
  /** Whether to ask for the tools as well. */
  readonly listsTools?: boolean | undefined;
}

/** Asks a server what it is, for as long as `PROBE_MS`. Never rejects. */
export async function describeRoute(
  route: Route,
  { store }: Config,
  { base, enough, listsTools = false }: DescribeOptions,
): Promise<RouteLine> {
  const { config } = route;
  const line = {
    name: config.name,
    url: `${base}${config.path}`,
    aliases: config.aliases.map((path) => `${base}${path}`),
    upstream: addressOf(config.upstream),
    store: storeName(store.url),
  };
  const late = sleep(
    PROBE_MS,
    { description: `unreachable: no answer within ${PROBE_MS} ms, will retry` },
    { ref: false },
  );
  const stopped = enough?.then(() => ({ description: "not asked: the gateway stops" }));
  return {
    ...line,
    ...(await Promise.race([asked(route, listsTools), late, ...(stopped === undefined ? [] : [stopped])])),
  };
}

type Asked = Pick<RouteLine, "description" | "server" | "tools">;

async function asked(route: Route, listsTools: boolean): Promise<Asked> {
  const { upstream } = route;
  try {
    const description = await eraOf(upstream);
    const tools = listsTools ? await toolsOf(route) : undefined;
    return { description, ...named(upstream), ...(tools === undefined ? {} : { tools }) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { description: oneLine(`unreachable: ${reason}, will retry`) };
  }
}

/** @throws UpstreamFailure */
async function eraOf(upstream: Upstream): Promise<string> {
  if ((await upstream.modern({})) !== undefined) return `modern ${MODERN_VERSION}`;
  const { protocolVersion } = await upstream.control(NOBODY).describe();
  return upstream.isOnlyModern ? `modern ${MODERN_VERSION}` : `legacy ${protocolVersion}`;
}

function named({ serverInfo }: Upstream): Pick<RouteLine, "server"> {
  const { name, version } = serverInfo ?? {};
  const words = [name, version].filter((word) => typeof word === "string" && word !== "");
  return words.length === 0 ? {} : { server: oneLine(words.join(" ")) };
}

/** `undefined`: the server lists none to a client without credentials. */
async function toolsOf({ config, upstream }: Route): Promise<string | undefined> {
  const server = await upstream.modern({});
  const catalogue = server === undefined ? upstream.control(NOBODY).tools : server.toolsOf(NOBODY);
  const names = await catalogue.names();
  if (names.length === 0) return undefined;
  const policy = policyOf(config);
  const byMode = new Map<TaskMode, string[]>();
  for (const name of names) {
    const { mode } = policy(name);
    const those = byMode.get(mode);
    if (those === undefined) byMode.set(mode, [name]);
    else those.push(name);
  }
  const parts = [...byMode].map(([mode, those]) => {
    if (mode === "auto") return `${those.length} auto (a task after ${durationText(config.tasks.waitForMs)})`;
    return `${those.length} ${mode}${those.length <= NAMED_TOOLS ? ` (${those.join(", ")})` : ""}`;
  });
  return oneLine(`${names.length === 1 ? "1 tool" : `${names.length} tools`}: ${parts.join(", ")}`);
}
