import { isDeepStrictEqual } from "node:util";
import type {
  AdminConfig,
  CallerLimits,
  Config,
  LimitsConfig,
  ListenConfig,
  LogConfig,
  TotalLimits,
} from "./config.ts";

/** What holds for as long as the gateway runs, by its names here and in the file. What is in none of these, a gateway that runs can change. */
const FIXED = {
  listen: {
    host: "host",
    port: "port",
    allowedHosts: "allowedHosts",
    allowedOrigins: "allowedOrigins",
    publicUrl: "publicUrl",
    readyPath: "readyPath",
    tls: "tls",
  } satisfies Names<ListenConfig>,
  admin: {
    host: "host",
    port: "port",
    token: "token",
    readToken: "readToken",
    payloads: "payloads",
  } satisfies Names<AdminConfig>,
  store: {
    url: "url",
    leaseMs: "lease",
    timeoutMs: "timeout",
    prefix: "prefix",
    tls: "tls",
    encryptionKeys: "encryptionKeys",
    acceptsPlaintext: "acceptPlaintext",
  } satisfies Names<Config["store"]>,
  limits: {
    maxDepth: "maxDepth",
    maxHeaderBytes: "maxHeaders",
    maxUnwrittenBytes: "maxUnwritten",
    keepAliveMs: "keepAlive",
    keepsJsonAlive: "keepAliveJson",
    maxWaitMs: "maxWait",
    restartGapMs: "restartGap",
  } satisfies Partial<Names<LimitsConfig>>,
  log: {
    level: "level",
    format: "format",
    isAudited: "audit",
    hashesCallers: "callers",
  } satisfies Names<LogConfig>,
};

/** The limits that a gateway that runs can change, in the same way. Those that only follow from others have no names. */
const CHANGEABLE = {
  limits: {
    maxBodyBytes: "maxBody",
    maxConnections: "maxConnections",
    shutdownDelayMs: "shutdownDelay",
    drainTimeoutMs: "drainTimeout",
  } satisfies Omit<Names<LimitsConfig>, keyof typeof FIXED.limits | "total" | "perCaller" | "perRoute">,
  total: {
    tasks: "tasks",
    streams: "streams",
    sessions: "sessions",
    storedBytes: "storedBytes",
    bytes: "bytes",
  } satisfies Names<TotalLimits>,
  perCaller: { tasks: "tasks", calls: "calls", polls: "polls", bytes: "bytes" } satisfies Partial<
    Names<CallerLimits>
  >,
};

type Names<Section> = Record<keyof Required<Section>, string>;

export interface Renewed {
  /** The newer configuration, as far as a gateway that runs with the older one can have it. */
  readonly config: Config;
  /** The settings of which it keeps the older value, as the file names them. */
  readonly restart: readonly string[];
}

/** What a gateway that runs makes of another configuration. */
export function renewed(older: Config, newer: Config): Renewed {
  const { listen, admin, store, callers, log, reload, tracing, webhooks, events } = older;
  const kept = Object.fromEntries(
    Object.keys(FIXED.limits).map((name) => [name, older.limits[name as keyof typeof FIXED.limits]]),
  );
  const { admin: _, events: __, ...rest } = newer;
  return {
    config: {
      ...rest,
      ...(admin === undefined ? {} : { admin }),
      listen,
      store,
      callers,
      log,
      reload,
      tracing,
      webhooks,
      ...(events === undefined ? {} : { events }),
      limits: { ...newer.limits, ...kept },
    },
    restart: [
      ...Object.entries(FIXED).flatMap(([section, names]) =>
        differences(
          section,
          names,
          older[section as keyof typeof FIXED],
          newer[section as keyof typeof FIXED],
        ),
      ),
      ...(isSame(callers, newer.callers) ? [] : ["callers"]),
      ...(reload === newer.reload ? [] : ["reload"]),
      ...(tracing === newer.tracing ? [] : ["tracing"]),
      ...(isSame(webhooks, newer.webhooks) ? [] : ["webhooks"]),
      ...(isSame(events, newer.events) ? [] : ["events"]),
    ],
  };
}

/** The limits that differ and that a gateway that runs can change, as the file names them. */
export function changedLimits(older: LimitsConfig, newer: LimitsConfig): readonly string[] {
  return [
    ...differences("limits", CHANGEABLE.limits, older, newer),
    ...differences("limits.total", CHANGEABLE.total, older.total, newer.total),
    ...differences("limits.perCaller", CHANGEABLE.perCaller, older.perCaller, newer.perCaller),
    ...(isSame(older.perRoute, newer.perRoute) ? [] : ["limits.perRoute.calls"]),
  ];
}

function differences(
  section: string,
  names: Readonly<Record<string, string>>,
  older: object | undefined,
  newer: object | undefined,
): readonly string[] {
  if (older === undefined || newer === undefined) return older === newer ? [] : [section];
  const [before, after] = [older, newer] as readonly Readonly<Record<string, unknown>>[];
  return Object.entries(names)
    .filter(([name]) => !isSame(before?.[name], after?.[name]))
    .map(([, name]) => `${section}.${name}`);
}

/** Whether nothing differs that a gateway that runs can change. */
export function isSameConfig(one: Config, other: Config): boolean {
  return isSame([one.servers, one.limits], [other.servers, other.limits]);
}

/** URLs by their text, into which not every Node looks; keys as they are. */
function isSame(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(plain(one), plain(other));
}

function plain(value: unknown): unknown {
  if (value instanceof URL) return value.href;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
}
