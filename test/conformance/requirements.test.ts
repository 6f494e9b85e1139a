import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GatewayProcess, startGatewayProcess } from "../support/gateway-process.ts";
import { startLegacyEverythingServer } from "../support/legacy-everything-server.ts";
import { EXEMPTIONS } from "./exemptions.ts";
import { complaintsOf, REVISION, requirements, runRequirements, suiteMissing } from "./suite.ts";
import type { Check } from "./verdict.ts";

const isMissing = suiteMissing() !== undefined;
const { scored, unscored } = isMissing ? { scored: [], unscored: [] } : await requirements();
/** The tasks scenarios need tools of their own, and are held against them one by one. */
const others = unscored.filter((scenario) => !scenario.startsWith("tasks-"));

describe.skipIf(isMissing)(`what ${REVISION} requires, in front of a legacy server`, () => {
  const cleanUps: (() => Promise<void>)[] = [];
  let gateway: GatewayProcess;
  let results: ReadonlyMap<string, readonly Check[]>;

  beforeAll(async () => {
    const server = await startLegacyEverythingServer();
    cleanUps.push(server.close);
    gateway = await startGatewayProcess(
      ["--upstream", server.url.href, "--port", "0", "--store", "memory:"],
      { atEnd: (cleanUp) => cleanUps.push(cleanUp) },
    );
    results = await runRequirements(gateway.url);
  });
  afterAll(() => Promise.all(cleanUps.map((cleanUp) => cleanUp())));

  test("is a list of 37 scenarios, of which few are exempted", () => {
    expect(scored).toHaveLength(37);
    expect(
      scored.filter((scenario) => EXEMPTIONS.some((exemption) => exemption.scenario === scenario)).length,
    ).toBeLessThanOrEqual(1);
  });

  test("every exemption is one of a scenario that is run", () => {
    expect([...scored, ...unscored]).toEqual(
      expect.arrayContaining(EXEMPTIONS.map(({ scenario }) => scenario)),
    );
  });

  test.each([...scored, ...others])("%s", async (scenario) => {
    expect(await complaintsOf(gateway.url, scenario, results.get(scenario) ?? [])).toEqual([]);
  });
});
