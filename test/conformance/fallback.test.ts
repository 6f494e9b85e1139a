/** The fallback for clients without tasks changes nothing that either revision requires: the suite tells no difference. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AtEnd, inFrontOf } from "../real/in-front-of.ts";
import { startLegacyEverythingServer } from "../support/legacy-everything-server.ts";
import { type Results, statuses } from "./statuses.ts";
import { requirements, runRequirements, suiteMissing } from "./suite.ts";

const isMissing = suiteMissing() !== undefined;
/**
 * A call that may become a task is the gateway's own: if the server closes its stream for the client to come back, the gateway comes back,
 * and the client has its answer in one piece. The suite has nothing to judge then, and says so.
 */
const MADE_BY_THE_GATEWAY = { "server-sse-polling": { "server-sse-content-type": "INFO" } };
const FALLBACK = { fallback: { afterMs: 45_000, prefix: "taskgate_" } };

describe.skipIf(isMissing).each([["2025-11-25"], ["2026-07-28"]])(
  "with the fallback on, of %s",
  (revision) => {
    const cleanUps: (() => Promise<void>)[] = [];
    let off: Results;
    let on: Results;

    beforeAll(async () => {
      const atEnd: AtEnd = (cleanUp) => void cleanUps.unshift(cleanUp);
      const server = await startLegacyEverythingServer({ isResumable: true });
      atEnd(server.close);
      const resultsWith = async (policy: typeof FALLBACK | undefined) => {
        const { gateway } = await inFrontOf(server.url, atEnd, policy);
        return runRequirements(new URL(gateway.routes[0]?.url ?? ""), revision);
      };
      off = await resultsWith(undefined);
      on = await resultsWith(FALLBACK);
    }, 240_000);
    afterAll(async () => {
      for (const cleanUp of cleanUps) await cleanUp();
    });

    test("every check has the same verdict", async () => {
      const { scored, unscored } = await requirements(revision);
      const all = [...scored, ...unscored];
      const verdicts = (results: Results) =>
        Object.fromEntries(all.map((scenario) => [scenario, statuses(results, scenario)]));
      const others = Object.entries(MADE_BY_THE_GATEWAY).filter(([scenario]) => all.includes(scenario));
      expect(verdicts(on)).toEqual({ ...verdicts(off), ...Object.fromEntries(others) });
      expect(Object.values(verdicts(on)).flatMap(Object.values)).toContain("SUCCESS");
    });
  },
);
