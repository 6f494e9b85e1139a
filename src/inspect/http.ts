import type { HttpUpstreamConfig } from "../config/config.ts";
import { toFailure } from "../upstreams/failure.ts";
import { upstreamFetch } from "../upstreams/fetch.ts";
import { hasTasks, type ModernDescription } from "../upstreams/probe.ts";
import { type Door, knock, login, noServer, WANTS_A_LOGIN } from "./door.ts";
import type { Facts, LegacyFacts } from "./facts.ts";
import type { HttpSession } from "./http-session.ts";
import { answersPing, legacyStory, versionsOf } from "./legacy.ts";
import { listAll } from "./listing.ts";
import { ModernSpeaker } from "./modern-speaker.ts";
import type { InspectionOptions } from "./options.ts";
import { descriptionOf, EVERYTHING, MAX_MESSAGE_BYTES, Sessions } from "./sessions.ts";
import { survey } from "./survey.ts";
import { shown, wordsOf } from "./unfit.ts";
import { Visitor } from "./visit.ts";

/** How a server says that it does not speak Streamable HTTP (2025-11-25, Transports §Backwards Compatibility). */
const SPEAKS_SOMETHING_ELSE: ReadonlySet<number> = new Set([400, 404, 405]);

type Found = Omit<Facts, "target">;

/** @throws Unfit, Misuse */
export async function inspectHttp(config: HttpUpstreamConfig, options: InspectionOptions): Promise<Facts> {
  const { url, headers } = config;
  const visitor = new Visitor({ ...options, url, headers, dispatcher: options.agents.next() });
  const door = await knock(visitor);
  try {
    return { target: shown(url), ...(await behind(door, visitor, config, options)) };
  } finally {
    await door.session?.close();
  }
}

function behind(
  door: Door,
  visitor: Visitor,
  config: HttpUpstreamConfig,
  options: InspectionOptions,
): Promise<Found> {
  const { modern, session } = door;
  if (modern !== undefined) return inspectModern(modern, session, config, options);
  if (session !== undefined) return inspectStreamable(session, config, options);
  return inspectSse(door, visitor, config, options);
}

/** A server that speaks both is asked for its tools as the gateway would ask for its modern clients: in the newer way. */
async function inspectModern(
  description: ModernDescription,
  session: HttpSession | undefined,
  config: HttpUpstreamConfig,
  options: InspectionOptions,
): Promise<Found> {
  const { serverInfo = {}, capabilities, instructions } = description;
  const server = descriptionOf({
    serverInfo,
    capabilities,
    ...(instructions === undefined ? {} : { instructions }),
  });
  const fetch = upstreamFetch({ dispatcher: options.agents.next(), maxMessageBytes: MAX_MESSAGE_BYTES });
  const shared = { ...options, ...config, fetch, description: server };
  const listed = await listAll(new ModernSpeaker({ ...shared, capabilities: {} }));
  const found = await survey(
    listed,
    new ModernSpeaker({ ...shared, capabilities: EVERYTHING }),
    options.call,
  );
  const remarks: string[] = [];
  return {
    transport: "streamable-http",
    server,
    modern: { versions: description.supportedVersions, hasTasks: hasTasks(description) },
    ...(session === undefined ? {} : { legacy: await legacySide(session, config, options, remarks) }),
    ...found,
    remarks,
  };
}

/** Its older clients have sessions of their own, so that it need not be known how it takes several. */
async function legacySide(
  session: HttpSession,
  config: HttpUpstreamConfig,
  options: InspectionOptions,
  remarks: string[],
): Promise<LegacyFacts> {
  const sessions = sessionsOver("streamable-http", config, options);
  try {
    await begin(session, remarks);
    const pings = await answersPing(session);
    await session.close();
    return { ...(await versionsOf(session, sessions)), answersPing: pings, http: session.facts };
  } finally {
    await sessions.close();
  }
}

async function inspectStreamable(
  session: HttpSession,
  config: HttpUpstreamConfig,
  options: InspectionOptions,
): Promise<Found> {
  const sessions = sessionsOver("streamable-http", config, options);
  const remarks: string[] = [];
  try {
    await begin(session, remarks);
    const { legacy, found } = await legacyStory(session, sessions, options.call);
    const http = session.facts;
    return {
      transport: "streamable-http",
      server: session.description,
      legacy: { ...legacy, http },
      ...found,
      remarks,
    };
  } finally {
    await sessions.close();
  }
}

async function inspectSse(
  { hello }: Door,
  visitor: Visitor,
  config: HttpUpstreamConfig,
  options: InspectionOptions,
): Promise<Found> {
  if (!SPEAKS_SOMETHING_ELSE.has(hello.status)) throw await noServer(visitor, hello);
  const sessions = sessionsOver("sse", config, options);
  try {
    const first = await sessions.open({}).catch(async (error: unknown) => {
      const { status = 0, wwwAuthenticate } = toFailure(error).facts;
      throw WANTS_A_LOGIN.has(status)
        ? login(visitor.url, status, wwwAuthenticate)
        : await noServer(visitor, hello);
    });
    const { legacy, found } = await legacyStory(first, sessions, options.call);
    return { transport: "sse", server: first.description, legacy, ...found, remarks: [] };
  } finally {
    await sessions.close();
  }
}

/** Makes the session that `initialize` has begun a whole one, and looks at what else it has of HTTP. */
async function begin(session: HttpSession, remarks: string[]): Promise<void> {
  await session.initialized();
  await session.look().catch((error: unknown) => {
    remarks.push(`It does not take everything that HTTP has: ${wordsOf(error)}`);
  });
}

function sessionsOver(
  transport: "streamable-http" | "sse",
  config: HttpUpstreamConfig,
  options: InspectionOptions,
): Sessions {
  return new Sessions({ ...options, config: { ...config, transport } });
}
