import { randomUUID } from "node:crypto";
import type { HttpUpstreamConfig, StdioUpstreamConfig, UpstreamConfig } from "../config/config.ts";
import { within } from "../lib/within.ts";
import { LEGACY_VERSIONS } from "../protocol/legacy.ts";
import { envelopeOf } from "../protocol/modern.ts";
import { toFailure } from "../upstream/failure.ts";
import { hasTasks, type ModernDescription, probe, readDiscoverResult } from "../upstream/modern/probe.ts";
import { upstreamAgents } from "../upstream/transports/agents.ts";
import { SPEAKS_SOMETHING_ELSE } from "../upstream/transports/open.ts";
import {
  CLIENT_INFO,
  type ClientOptions,
  EVERYTHING,
  type LegacyClient,
  modernClient,
  Sessions,
} from "./clients.ts";
import type { Facts } from "./facts.ts";
import { answersPing, listAll, survey, surveyLegacy, versionsOf, type Wanted } from "./survey.ts";
import { type Exchange, Traffic } from "./traffic.ts";
import {
  foreignVersion,
  isLogin,
  login,
  noServer,
  notStarted,
  shown,
  unreachable,
  wordsOf,
} from "./unfit.ts";

export interface InspectOptions extends Omit<ClientOptions, "agents"> {
  /** Absent: no tool is called. */
  readonly call?: Wanted | undefined;
}

type Options = InspectOptions & ClientOptions;

/**
 * Asks a server for its facts, through `upstream/`, and observes its answers. Leaves neither a session nor a process behind.
 * @throws Unfit when there is no server to inspect, Misuse when the call cannot be made
 */
export async function inspect(config: UpstreamConfig, given: InspectOptions): Promise<Facts> {
  const agents = upstreamAgents();
  const options = { ...given, agents };
  try {
    return config.transport === "stdio"
      ? await inspectCommand(config, options)
      : await inspectUrl(config, options);
  } finally {
    await agents.destroy();
  }
}

/** Tries both eras, the older one first: old servers take the first request for the beginning of their only session. */
async function inspectUrl(config: HttpUpstreamConfig, options: Options): Promise<Facts> {
  const { url, headers } = config;
  const target = shown(url);
  const streamable = { ...config, transport: "streamable-http" } as const;
  const traffic = new Traffic(options.agents);
  const opener = new Sessions(streamable, { ...options, agents: traffic.agents });
  const sessions = new Sessions(streamable, options);
  try {
    const first = await opener.open({}).catch(toFailure);
    const hello = traffic.hello;
    if (first instanceof Error && hello?.isEnded !== true) throw unreachable(url, first);
    if (isLogin(hello?.status)) throw login(url, hello?.status, hello?.header("www-authenticate"));
    const said = hello?.answer !== undefined && "result" in hello.answer ? hello.answer.result : {};
    const version = typeof said.protocolVersion === "string" ? said.protocolVersion : undefined;
    if (version !== undefined && !LEGACY_VERSIONS.includes(version)) throw foreignVersion(url, [version]);
    options.onAsk("server/discover");
    const probed = await probe({ url, headers, dispatcher: options.agents.next(), clientInfo: CLIENT_INFO });
    if (probed.era === "modern") {
      const found = await surveyModern(config, probed.description, options);
      const legacy = first instanceof Error ? { remarks: [] } : await besideModern(first);
      return { target, ...found, ...legacy };
    }
    if (first instanceof Error) {
      if (probed.era === "other") throw foreignVersion(url, probed.supportedVersions);
      if (version !== undefined) throw unreachable(url, first);
      return { target, ...(await inspectSse(config, hello, options)) };
    }
    const { unknown, remarks } = await look(first);
    const { legacy, ...found } = await surveyLegacy(first, sessions, options.call);
    const http = traffic.facts(unknown);
    return {
      target,
      transport: "streamable-http",
      server: first.description,
      legacy: { ...legacy, http },
      ...found,
      remarks,
    };
  } finally {
    await Promise.all([opener.close(), sessions.close()]);
  }

  /** A server of both eras has sessions for its older clients only, so how it takes several does not matter. */
  async function besideModern(first: LegacyClient) {
    const { unknown, remarks } = await look(first);
    const pings = await answersPing(first);
    await first.close();
    const versions = await versionsOf(first, sessions);
    return { legacy: { ...versions, answersPing: pings, http: traffic.facts(unknown) }, remarks };
  }

  /** Tries the rest of HTTP: the stream for the server's own messages, and a session that does not exist. */
  async function look(first: LegacyClient) {
    if (traffic.last("GET") === undefined) first.hearChanges();
    await within(LISTEN_MS, traffic.listening);
    if (!traffic.facts().hasSessions) return { remarks: [] };
    const other = new Traffic(options.agents);
    const stranger = new Sessions(streamable, { ...options, agents: other.agents });
    const refusal = await stranger.pingIn(randomUUID(), first.protocolVersion).catch(toFailure);
    const unknown = other.last("POST");
    const isSilent = refusal !== undefined && unknown?.status === undefined;
    return {
      unknown,
      remarks: isSilent ? [`It does not take everything that HTTP has: ${refusal.message}`] : [],
    };
  }
}

/** A server may hold back the response headers of its stream until it has an event. */
const LISTEN_MS = 1_000;

/** For a server of both eras, reports the tools that the gateway's modern clients see. */
async function surveyModern(config: HttpUpstreamConfig, said: ModernDescription, options: Options) {
  const plain = modernClient(config, said, {}, options);
  const found = await survey(
    await listAll(plain),
    modernClient(config, said, EVERYTHING, options),
    options.call,
  );
  return {
    transport: "streamable-http" as const,
    server: plain.description,
    modern: { versions: said.supportedVersions, hasTasks: hasTasks(said) },
    ...found,
  };
}

async function inspectSse(config: HttpUpstreamConfig, hello: Exchange | undefined, options: Options) {
  const sessions = new Sessions({ ...config, transport: "sse" }, options);
  try {
    const isPossible = SPEAKS_SOMETHING_ELSE.has(hello?.status);
    const first = isPossible ? await sessions.open({}).catch(toFailure) : undefined;
    if (first === undefined || first instanceof Error) {
      const { status, wwwAuthenticate } = first?.facts ?? {};
      if (isLogin(status)) throw login(config.url, status, wwwAuthenticate);
      throw noServer(config.url, hello, await page(config, options), await elsewhere(config, options));
    }
    const found = await surveyLegacy(first, sessions, options.call);
    return { transport: "sse" as const, server: first.description, ...found, remarks: [] };
  } finally {
    await sessions.close();
  }
}

const PAGE = { patienceMs: 1_000, maxBytes: 65_536 } as const;

/** What a browser would show. */
async function page({ url, headers }: HttpUpstreamConfig, { agents, signal }: Options) {
  const traffic = new Traffic(agents);
  const request = {
    origin: url.origin,
    path: url.pathname + url.search,
    method: "GET",
    headers: { accept: "text/html, */*", "accept-encoding": "identity", ...headers },
    signal: AbortSignal.any([signal, AbortSignal.timeout(PAGE.patienceMs)]),
  } as const;
  await traffic.agents
    .next()
    .request(request)
    .then(({ body }) => body.dump({ limit: PAGE.maxBytes }))
    .catch(() => {});
  return traffic.last("GET");
}

/** Looks for a server at the usual paths. */
async function elsewhere(config: HttpUpstreamConfig, options: Options): Promise<readonly URL[]> {
  const found: URL[] = [];
  for (const path of ["/mcp", "/sse"]) {
    const url = new URL(path, config.url);
    if (url.pathname === config.url.pathname) continue;
    const client = await new Sessions({ ...config, url, transport: "auto" }, options)
      .open({})
      .catch(() => undefined);
    await client?.close();
    if (client !== undefined) found.push(url);
  }
  return found;
}

/** Many servers never answer an unknown method. */
const DISCOVER_MS = 5_000;
const OLDER_WAY = "Over stdio this version of the gateway speaks to it as to a legacy server.";

/** Starts the server once for each session: each has a process of its own. */
async function inspectCommand(config: StdioUpstreamConfig, options: Options): Promise<Facts> {
  const { command, args } = config;
  const sessions = new Sessions(config, options);
  try {
    const modern = await discovered(sessions, Math.min(options.timeoutMs, DISCOVER_MS));
    const startedAt = performance.now();
    const first = await sessions.open({}).catch((error: unknown) => {
      throw notStarted(command, wordsOf(toFailure(error)));
    });
    const startMs = Math.round(performance.now() - startedAt);
    const { legacy, ...found } = await surveyLegacy(first, sessions, options.call);
    const { garbage, isOnlyModern } = sessions;
    return {
      target: [command, ...args].join(" "),
      transport: "stdio",
      server: first.description,
      modern: modern && { versions: modern.supportedVersions, hasTasks: hasTasks(modern) },
      legacy: isOnlyModern ? undefined : { ...legacy, startMs },
      ...found,
      remarks: [
        ...(modern === undefined || isOnlyModern ? [] : [OLDER_WAY]),
        ...(garbage === undefined ? [] : [`It writes to stdout what is no message: ${garbage}`]),
      ],
    };
  } finally {
    await sessions.close();
  }
}

/** The server's answer to `server/discover`; only a well-formed one proves a modern server (2026-07-28, stdio §Backward Compatibility). */
async function discovered(sessions: Sessions, timeoutMs: number): Promise<ModernDescription | undefined> {
  const _meta = envelopeOf(CLIENT_INFO, {});
  const response = await sessions.once("server/discover", { _meta }, timeoutMs).catch(() => undefined);
  return response === undefined || "error" in response ? undefined : readDiscoverResult(response.result);
}
