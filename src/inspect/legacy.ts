import { LATEST_LEGACY_VERSION, LEGACY_VERSIONS } from "../protocol/legacy.ts";
import type { LegacyFacts, SecondSession, VersionFacts } from "./facts.ts";
import { listAll } from "./listing.ts";
import { EVERYTHING, type Sessions } from "./sessions.ts";
import type { Caller, Speaker } from "./speaker.ts";
import { type Survey, survey, type Wanted } from "./survey.ts";
import { wordsOf } from "./unfit.ts";

/** A session that is open, for a client that declares nothing. */
export interface FirstSession extends Speaker {
  readonly protocolVersion: string;
}

export interface Story {
  readonly legacy: LegacyFacts;
  readonly found: Survey;
}

/**
 * What a legacy server lists, how it takes a second session, the call that is wanted, and the versions that it accepts, in the
 * order in which least is lost when it takes no more sessions. Ends the first session.
 * @throws Misuse when the call cannot be made
 */
export async function legacyStory(
  first: FirstSession,
  sessions: Sessions,
  wanted: Wanted | undefined,
): Promise<Story> {
  const pings = await answersPing(first);
  const listed = await listAll(first);
  const { caller, facts } = await openSecond(first, sessions, pings);
  const found = await survey(listed, caller, wanted);
  await caller?.close();
  return {
    legacy: { ...(await versionsOf(first, sessions)), answersPing: pings, secondSession: facts },
    found,
  };
}

/** The versions that a server accepts whose session has ended. */
export async function versionsOf({ protocolVersion }: FirstSession, sessions: Sessions) {
  return { protocolVersion, versions: await askVersions(sessions, protocolVersion) };
}

/** A server that has answered pings does not take longer over one, unless something has happened to the session. */
const PING_MS = 5_000;

export async function answersPing(server: Speaker): Promise<boolean> {
  const response = await server.ask("ping", {}, PING_MS).catch(() => undefined);
  return response !== undefined && "result" in response;
}

/** A session for calls, and how the server took it that there was another one open. */
interface Second {
  /** Absent: the server takes no other session at all. */
  readonly caller?: Caller;
  readonly facts: SecondSession;
}

/** Opens a session that declares everything while the first is still open, and ends the first when that is known. */
async function openSecond(first: Speaker, sessions: Sessions, pings: boolean): Promise<Second> {
  try {
    const caller = await sessions.open(EVERYTHING);
    const isAlive = !pings || (await answersPing(first));
    await first.close();
    if (isAlive) return { caller, facts: { verdict: "works" } };
    return { caller, facts: { verdict: "ends the first", reason: "the first did not answer ping any more" } };
  } catch (error) {
    await first.close();
    const caller = await sessions.open(EVERYTHING).catch(() => undefined);
    const reason = wordsOf(error);
    return caller === undefined
      ? { facts: { verdict: "fatal", reason } }
      : { caller, facts: { verdict: "refused", reason } };
  }
}

/** Asks with every version but the newest, which has been asked for already. Ends when the server takes no more sessions. */
async function askVersions(sessions: Sessions, newest: string): Promise<LegacyFacts["versions"]> {
  const versions: VersionFacts[] = [{ asked: LATEST_LEGACY_VERSION, answered: newest }];
  for (const asked of LEGACY_VERSIONS.filter((version) => version !== LATEST_LEGACY_VERSION)) {
    const found = await sessions.negotiate(asked);
    versions.push(found);
    if (found.isLost === true) break;
  }
  return versions;
}
