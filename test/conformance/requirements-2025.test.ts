/** What a legacy client can have of a server directly, it can have of it through the gateway: the suite tells no difference. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type EverythingRelease, everything } from "../peers/peers.ts";
import { type AtEnd, inFrontOf } from "../real/in-front-of.ts";
import { startServerProcess } from "../real/server-process.ts";
import { startLegacyEverythingServer } from "../support/legacy-everything-server.ts";
import { type Results, statuses } from "./statuses.ts";
import { requirements, runRequirements, suiteMissing } from "./suite.ts";

const REVISION = "2025-11-25";
const isMissing = suiteMissing() !== undefined;
const { scored, unscored } = isMissing ? { scored: [], unscored: [] } : await requirements(REVISION);
const SCENARIOS = [...scored, ...unscored];

/** What is not the same, because the gateway looks at the Host header, and these servers do not. */
const GUARDED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "dns-rebinding-protection": { "localhost-host-rebinding-rejected": "SUCCESS" },
};

const SERVERS = [
  {
    name: "a v1 server that asks on the session's stream",
    start: ours.bind(null, "session"),
    passed: 84,
    better: {} as typeof GUARDED,
  },
  {
    name: "a v1 server that asks on the call's stream",
    start: ours.bind(null, "call"),
    passed: 84,
    better: {} as typeof GUARDED,
  },
  // They lack the suite's tools and prompts, and have to lack them through the gateway.
  {
    name: "server-everything 2025.9.25",
    start: published.bind(null, "2025.9.25"),
    passed: 44,
    better: GUARDED,
  },
  {
    name: "server-everything 2025.12.18",
    start: published.bind(null, "2025.12.18"),
    passed: 46,
    better: GUARDED,
  },
];

describe.skipIf(isMissing).each(SERVERS)(
  `what ${REVISION} requires, of $name`,
  ({ start, passed, better }) => {
    const cleanUps: (() => Promise<void>)[] = [];
    let direct: Results;
    let through: Results;

    beforeAll(async () => {
      const atEnd: AtEnd = (cleanUp) => void cleanUps.unshift(cleanUp);
      const server = await start(atEnd);
      const { gateway } = await inFrontOf(server, atEnd);
      direct = await runRequirements(server, REVISION);
      through = await runRequirements(new URL(gateway.routes[0]?.url ?? ""), REVISION);
    }, 240_000);
    afterAll(async () => {
      for (const cleanUp of cleanUps) await cleanUp();
    });

    test(`is passed by the server itself in ${passed} checks`, () => {
      const successes = [...direct.values()].flat().filter(({ status }) => status === "SUCCESS");
      expect(direct.size).toBe(33);
      expect(successes).toHaveLength(passed);
    });

    test.each(SCENARIOS)("%s", (scenario) => {
      const expected = { ...statuses(direct, scenario), ...better[scenario] };
      expect(statuses(through, scenario)).toEqual(expected);
    });
  },
);

async function ours(asksOn: "call" | "session", atEnd: AtEnd): Promise<URL> {
  const server = await startLegacyEverythingServer({ asksOn, isResumable: true });
  atEnd(server.close);
  return server.url;
}

function published(release: EverythingRelease, atEnd: AtEnd): Promise<URL> {
  return startServerProcess(everything(release), atEnd);
}
