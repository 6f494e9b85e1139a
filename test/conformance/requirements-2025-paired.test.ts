/** What the suite has to say of a server over stdio that legacy clients reach through the gateway. */

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AtEnd, inFrontOf } from "../real/in-front-of.ts";
import { startLegacyEverythingServer } from "../support/legacy-everything-server.ts";
import { type Results, statuses } from "./statuses.ts";
import { requirements, runRequirements, suiteMissing } from "./suite.ts";

const REVISION = "2025-11-25";
const isMissing = suiteMissing() !== undefined;
const { scored, unscored } = isMissing ? { scored: [], unscored: [] } : await requirements(REVISION);

/** What is not the same as with the same server over HTTP, and why. */
const DIFFERENT: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // A server over stdio has no stream that it could end in the middle of a call, and the gateway does not end one by itself.
  "server-sse-polling": { "server-sse-disconnect-resume": "INFO" },
};

const SERVER = {
  command: process.execPath,
  args: [
    "--import",
    import.meta.resolve("tsx"),
    fileURLToPath(new URL("../support/stdio-servers/legacy-everything.ts", import.meta.url)),
  ],
  maxSessions: 100,
};

describe.skipIf(isMissing)(`what ${REVISION} requires, of a server over stdio`, () => {
  const cleanUps: (() => Promise<void>)[] = [];
  let direct: Results;
  let through: Results;

  beforeAll(async () => {
    const atEnd: AtEnd = (cleanUp) => void cleanUps.unshift(cleanUp);
    const server = await startLegacyEverythingServer({ isResumable: true });
    atEnd(server.close);
    const { gateway } = await inFrontOf(SERVER, atEnd);
    direct = await runRequirements(server.url, REVISION);
    through = await runRequirements(new URL(gateway.routes[0]?.url ?? ""), REVISION);
  }, 240_000);
  afterAll(async () => {
    for (const cleanUp of cleanUps) await cleanUp();
  });

  test.each([...scored, ...unscored])("%s", (scenario) => {
    const expected = { ...statuses(direct, scenario), ...DIFFERENT[scenario] };
    expect(statuses(through, scenario)).toEqual(expected);
  });
});
