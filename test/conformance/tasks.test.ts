import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GatewayProcess, startGatewayProcess } from "../support/gateway-process.ts";
import { startLegacyTasksServer } from "../support/legacy-tasks-server.ts";
import { EXEMPTIONS } from "./exemptions.ts";
import { runScenario, suiteMissing } from "./suite.ts";
import { complaints } from "./verdict.ts";

/** All but `tasks-status-notifications`, which the suite has no checks for yet. */
const SCENARIOS = [
  "tasks-lifecycle",
  "tasks-capability-negotiation",
  "tasks-wire-fields",
  "tasks-request-state-removal",
  "tasks-mrtr-input",
  "tasks-request-headers",
  "tasks-dispatch-and-envelope",
  "tasks-required-task-error",
  "tasks-mrtr-composition",
];

const POLICY = ["greet=never", "failing_job=required", "test_tool_with_task=required"];

const ASKING = ["tasks-mrtr-input", "tasks-mrtr-composition"];

describe.skipIf(suiteMissing()).each([
  { asksOn: "session", scenarios: SCENARIOS },
  { asksOn: "call", scenarios: ASKING },
] as const)(
  "in front of synchronous tools that ask on the stream of the $asksOn",
  ({ asksOn, scenarios }) => {
    const cleanUps: (() => Promise<void>)[] = [];
    let gateway: GatewayProcess;

    beforeAll(async () => {
      const server = await startLegacyTasksServer({ asksOn });
      cleanUps.push(server.close);
      gateway = await startGatewayProcess(
        [
          "--upstream",
          server.url.href,
          "--port",
          "0",
          "--store",
          "memory:",
          ...POLICY.flatMap((p) => ["--tool", p]),
        ],
        { atEnd: (cleanUp) => cleanUps.push(cleanUp) },
      );
    });
    afterAll(() => Promise.all(cleanUps.map((cleanUp) => cleanUp())));

    test.concurrent.each(scenarios)("passes %s", { timeout: 90_000 }, async (scenario) => {
      const exemptions = EXEMPTIONS.filter((exemption) => exemption.scenario === scenario);
      expect(complaints(await runScenario(gateway.url, scenario), exemptions)).toEqual([]);
    });
  },
);
