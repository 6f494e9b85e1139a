/** In front of a server of 2026-07-28 the gateway passes what is not about tasks: the suite tells no difference. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GatewayProcess, startGatewayProcess } from "../support/gateway-process.ts";
import { startLegacyEverythingServer } from "../support/legacy-everything-server.ts";
import { startModernTasksServer } from "../support/modern-tasks-server.ts";
import {
  complaintsOf,
  requirements,
  runRequirements,
  suiteMissing,
  TASK_POLICY,
  TASK_SCENARIOS,
} from "./suite.ts";
import type { Check } from "./verdict.ts";

const isMissing = suiteMissing() !== undefined;
const { scored } = isMissing ? { scored: [] } : await requirements();
type CleanUps = (() => Promise<void>)[];

function gatewayTo(upstream: URL, cleanUps: CleanUps, more: readonly string[] = []): Promise<GatewayProcess> {
  const command = ["--upstream", upstream.href, "--port", "0", "--store", "memory:", ...more];
  return startGatewayProcess(command, { atEnd: (cleanUp) => void cleanUps.unshift(cleanUp) });
}

describe.skipIf(isMissing)("what 2026-07-28 requires, in front of a server that has it all", () => {
  const cleanUps: CleanUps = [];
  let passing: GatewayProcess;
  let results: ReadonlyMap<string, readonly Check[]>;

  beforeAll(async () => {
    const server = await startLegacyEverythingServer();
    cleanUps.unshift(server.close);
    // A gateway in front of a legacy server is as complete a server of the revision as there is.
    const complete = await gatewayTo(server.url, cleanUps);
    passing = await gatewayTo(complete.url, cleanUps);
    results = await runRequirements(passing.url);
  });
  afterAll(async () => {
    for (const cleanUp of cleanUps) await cleanUp();
  });

  test.each(scored)("%s", async (scenario) => {
    expect(await complaintsOf(passing.url, scenario, results.get(scenario) ?? [])).toEqual([]);
  });
});

describe.skipIf(isMissing)("tasks, in front of a server that only knows rounds", () => {
  const cleanUps: CleanUps = [];
  let gateway: GatewayProcess;

  beforeAll(async () => {
    const server = await startModernTasksServer();
    cleanUps.unshift(server.close);
    gateway = await gatewayTo(
      server.url,
      cleanUps,
      TASK_POLICY.flatMap((rule) => ["--tool", rule]),
    );
  });
  afterAll(async () => {
    for (const cleanUp of cleanUps) await cleanUp();
  });

  test.concurrent.each(TASK_SCENARIOS)("passes %s", async (scenario) => {
    expect(await complaintsOf(gateway.url, scenario)).toEqual([]);
  });
});
