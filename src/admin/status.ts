import type { Config, UpstreamConfig } from "../config/config.ts";
import type { CallCount, CallCounts } from "../observers/calls/call-counts.ts";
import { Durations } from "../observers/calls/durations.ts";
import type { Route } from "../requests/request.ts";
import { storeName } from "../store-url.ts";
import type { RunningState } from "../tasks/running-tasks.ts";
import { addressOf } from "../upstream/address.ts";

/** A server as this gateway knows it. */
export interface ServerStatus {
  readonly name: string;
  readonly paths: readonly string[];
  readonly upstream: string;
  readonly transport: string;
  /** Whether it was there when the gateway last had to do with it. Absent: the gateway does not know yet. */
  readonly isThere?: boolean;
  readonly returns: number;
  readonly sessions: number;
  /** What it says of itself. */
  readonly info?: { readonly name?: string; readonly version?: string };
  readonly protocolVersion?: string;
  /** How many tools of it were listed here. */
  readonly tools: number;
  /** Its unfinished tasks whose calls are in this gateway. */
  readonly tasks: Readonly<Record<RunningState["state"], number>>;
  /** How long 95 % of the calls of its tools took at most that were over in the last hour, at this gateway. Absent: none was. */
  readonly p95Ms?: number;
  /** For how long the oldest of its calls here has run that does not wait for answers: a task's, or one whose client waits. Absent: none runs. */
  readonly oldestCallMs?: number;
}

/** What goes on at this gateway, at all servers. */
export interface Activity {
  readonly states: () => Iterable<RunningState>;
  readonly calls: Pick<CallCounts, "oldestMs">;
  readonly lastHour: CallCount;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export function serverStatus(
  { config, upstream }: Route,
  { states, calls, lastHour, now }: Activity,
  modernVersion: string,
): ServerStatus {
  const tasks = { queued: 0, working: 0, input_required: 0 };
  let oldestCallMs = calls.oldestMs(config.name);
  for (const { server, state, sentAt } of states()) {
    if (server !== config.name) continue;
    tasks[state] += 1;
    if (state === "working") oldestCallMs = Math.max(oldestCallMs ?? 0, now - sentAt);
  }
  const took = new Durations();
  for (const { answered, abandoned } of lastHour.servers.get(config.name) ?? [])
    took.add(answered).add(abandoned);
  const { isThere, returns } = upstream.presence;
  const { name, version } = upstream.serverInfo ?? {};
  const protocolVersion = upstream.description?.protocolVersion ?? (upstream.serverInfo && modernVersion);
  return {
    name: config.name,
    paths: [config.path, ...config.aliases],
    upstream: addressOf(config.upstream),
    transport: config.upstream.transport,
    ...(isThere === undefined ? {} : { isThere }),
    returns,
    sessions: upstream.sessions,
    ...(upstream.serverInfo === undefined
      ? {}
      : {
          info: {
            ...(typeof name === "string" ? { name } : {}),
            ...(typeof version === "string" ? { version } : {}),
          },
        }),
    ...(protocolVersion === undefined ? {} : { protocolVersion }),
    tools: upstream.listed.size,
    tasks,
    ...(took.count === 0 ? {} : { p95Ms: Math.round(took.quantile(0.95)) }),
    ...(oldestCallMs === undefined ? {} : { oldestCallMs: Math.round(oldestCallMs) }),
  };
}

const MASKED = "***";

/** The configuration that is in force, without anything that may be a secret: of headers and variables only the names are told. */
export function shownConfig(config: Config): object {
  const { listen, admin, store, callers, limits, log, servers, webhooks, events } = config;
  return {
    listen: shownListen(listen),
    admin: admin && {
      host: admin.host,
      port: admin.port,
      payloads: admin.payloads,
      ...(admin.token === undefined ? {} : { token: MASKED }),
      ...(admin.readToken === undefined ? {} : { readToken: MASKED }),
    },
    store: {
      url: storeName(store.url),
      leaseMs: store.leaseMs,
      timeoutMs: store.timeoutMs,
      prefix: store.prefix,
      isEncrypted: store.encryptionKeys !== undefined,
      hasOwnCertificates: store.tls !== undefined,
    },
    callers,
    limits,
    log,
    webhooks: webhooks.map(({ url, secrets, ...webhook }) => ({
      ...webhook,
      url: `${url.origin}${url.pathname}`,
      secrets: secrets.map(() => MASKED),
    })),
    ...(events === undefined ? {} : { events }),
    servers: servers.map(({ upstream, ...server }) => ({ ...server, upstream: shownUpstream(upstream) })),
  };
}

function shownListen({ tls, ...listen }: Config["listen"]): object {
  if (tls === undefined) return listen;
  const { cert, key, passphrase } = tls;
  return { ...listen, tls: { cert, key, ...(passphrase === undefined ? {} : { passphrase: MASKED }) } };
}

function shownUpstream(upstream: UpstreamConfig): object {
  const { transport, sessions, maxSessions, idleTimeoutMs, startTimeoutMs } = upstream;
  const shared = { transport, sessions, maxSessions, idleTimeoutMs, startTimeoutMs, at: addressOf(upstream) };
  if (upstream.transport === "stdio") return { ...shared, env: masked(upstream.env), cwd: upstream.cwd };
  const { headers, headersEverywhere, forwardHeaders } = upstream;
  return { ...shared, headers: masked(headers), headersEverywhere, forwardHeaders };
}

function masked(values: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.keys(values).map((name) => [name, MASKED]));
}
