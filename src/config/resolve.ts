import { resolveCallers } from "./caller-settings.ts";
import type {
  Config,
  HttpUpstreamConfig,
  LogConfig,
  ServerConfig,
  StdioUpstreamConfig,
  ToolPolicy,
  UpstreamConfig,
} from "./config.ts";
import type { FromFile } from "./environment.ts";
import { resolveEvents } from "./event-settings.ts";
import { resolveLimits } from "./limit-settings.ts";
import {
  type ConfigFile,
  defaults,
  type FullPolicySettings,
  type PolicySettings,
  parsedDefaults,
} from "./schema.ts";
import { COMMAND_TRANSPORT, type SessionPreset, upstreamPresets } from "./upstream-settings.ts";
import { resolveWebhooks } from "./webhook-settings.ts";

type StoreFile = NonNullable<ConfigFile["store"]>;
type ServerFile = ConfigFile["servers"][string];
type UpstreamFile = ServerFile["upstream"];

/**
 * Turns a valid file into the configuration: fills in every default and gives every number its unit.
 * @param fromFiles what files have put into settings
 */
export function resolve(file: ConfigFile, fromFiles: readonly FromFile[] = []): Config {
  const servers = Object.entries(file.servers);
  const isOnly = servers.length === 1;
  const { host = defaults.listen.host, port = defaults.listen.port } = file.listen ?? {};
  const { allowedHosts, publicUrl, tls, readyPath = defaults.listen.readyPath } = file.listen ?? {};
  const events = resolveEvents(file.events);
  return {
    listen: {
      host,
      port,
      ...(allowedHosts === undefined ? {} : { allowedHosts }),
      allowedOrigins: file.listen?.allowedOrigins ?? defaults.listen.allowedOrigins,
      ...(publicUrl === undefined ? {} : { publicUrl }),
      ...(readyPath === "none" ? {} : { readyPath }),
      ...(tls === undefined ? {} : { tls }),
    },
    ...(file.admin === undefined ? {} : { admin: { ...defaults.admin, ...file.admin } }),
    store: resolveStore(file.store),
    callers: resolveCallers(file.callers),
    limits: resolveLimits(file.limits),
    log: resolveLog(file.log),
    reload: file.reload ?? defaults.reload,
    tracing: file.tracing ?? defaults.tracing,
    servers: servers.map(([name, server]) =>
      resolveServer(name, server, { isOnly, secrets: secretsAt(name, fromFiles) }),
    ),
    webhooks: resolveWebhooks(file.webhooks),
    ...(events === undefined ? {} : { events }),
  };
}

function resolveStore(given: StoreFile = {}): Config["store"] {
  const { url, lease, timeout, prefix, acceptPlaintext, ...rest } = { ...parsedDefaults().store, ...given };
  return { url, leaseMs: lease, timeoutMs: timeout, prefix, acceptsPlaintext: acceptPlaintext, ...rest };
}

function resolveLog(given: ConfigFile["log"]): LogConfig {
  const { level, format, audit, callers } = { ...defaults.log, ...given };
  return { level, format, isAudited: audit, hashesCallers: callers === "hashed" };
}

/** What files have put into a server's URL or arguments, which people see. Header values and variables are secrets anyway. */
function secretsAt(name: string, fromFiles: readonly FromFile[]): readonly string[] {
  const isShown = ({ path: [section, server, part, setting] }: FromFile) =>
    section === "servers" &&
    server === name &&
    part === "upstream" &&
    /^(?:url|command|args)$/.test(String(setting));
  return fromFiles.filter(isShown).map(({ text }) => text);
}

function resolveServer(
  name: string,
  server: ServerFile,
  { isOnly, secrets }: { readonly isOnly: boolean; readonly secrets: readonly string[] },
): ServerConfig {
  const path = server.path ?? `/${name}/mcp`;
  const preset = parsedDefaults().tasks;
  const { maxConcurrent, maxQueued, fallbackPrefix, ...given } = { ...server.tasks };
  const prefix = fallbackPrefix ?? preset.fallbackPrefix;
  const base = { ...preset, ...pollIntervals(preset, given), ...given };
  return {
    name,
    path,
    aliases: isOnly && path !== "/mcp" ? ["/mcp"] : [],
    upstream: {
      ...resolveUpstream(server.upstream),
      ...(secrets.length === 0 ? {} : { secrets }),
    },
    tasks: toPolicy(base, prefix),
    tools: (server.tools ?? []).map(({ match, ...rule }) => ({
      match,
      ...toPolicy({ ...base, ...pollIntervals(base, rule), ...rule }, prefix),
    })),
    maxConcurrent: maxConcurrent ?? preset.maxConcurrent,
    maxQueued: maxQueued ?? preset.maxQueued,
  };
}

/** The inherited poll intervals, adjusted so that neither contradicts a given one. */
function pollIntervals(inherited: FullPolicySettings, given: PolicySettings) {
  const pollInterval = Math.min(inherited.pollInterval, given.maxPollInterval ?? Number.POSITIVE_INFINITY);
  return { pollInterval, maxPollInterval: Math.max(inherited.maxPollInterval, given.pollInterval ?? 0) };
}

function toPolicy(settings: FullPolicySettings, prefix: string): ToolPolicy {
  return {
    mode: settings.mode,
    waitForMs: settings.waitFor,
    ttlMs: settings.ttl,
    pollIntervalMs: settings.pollInterval,
    maxPollIntervalMs: settings.maxPollInterval,
    maxRuntimeMs: settings.maxRuntime,
    maxResultBytes: settings.maxResultBytes,
    onLoss: settings.onLoss,
    isUnsafe: settings.unsafe,
    ...(settings.heartbeat === "off" ? {} : { heartbeatMs: settings.heartbeat }),
    ...(settings.immediateResponse === undefined ? {} : { immediateResponse: settings.immediateResponse }),
    ...(settings.fallback === "off" ? {} : { fallback: { afterMs: settings.fallbackAfter, prefix } }),
  };
}

function resolveUpstream(upstream: UpstreamFile): UpstreamConfig {
  return upstream.command === undefined
    ? resolveAddress(upstream)
    : resolveCommand(upstream.command, upstream);
}

function resolveAddress({
  url,
  transport = defaults.upstream.transport,
  ...upstream
}: UpstreamFile): HttpUpstreamConfig {
  if (url === undefined || transport === "stdio")
    throw new Error("an upstream is neither at a url nor started");
  const headers = Object.entries(upstream.headers ?? {});
  return {
    transport,
    url,
    headers: Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])),
    ...(upstream.headersEverywhere ? { headersEverywhere: true } : {}),
    forwardHeaders: upstream.forwardHeaders ?? defaults.upstream.forwardHeaders,
    ...resolveSessions(upstream, upstreamPresets.url),
  };
}

function resolveCommand(command: string, { args, env, cwd, ...upstream }: UpstreamFile): StdioUpstreamConfig {
  return {
    transport: COMMAND_TRANSPORT,
    command,
    args: args ?? defaults.upstream.args,
    env: env ?? defaults.upstream.env,
    ...(cwd === undefined ? {} : { cwd }),
    forwardHeaders: [],
    ...resolveSessions(upstream, upstreamPresets.command),
  };
}

function resolveSessions(given: UpstreamFile, preset: SessionPreset) {
  const { sessions = defaults.upstream.sessions, startTimeout = preset.startTimeout } = given;
  const { maxSessions = preset.maxSessions, idleTimeout = preset.idleTimeout } = given;
  return {
    sessions,
    ...(maxSessions === undefined ? {} : { maxSessions }),
    idleTimeoutMs: idleTimeout,
    startTimeoutMs: startTimeout,
  };
}
