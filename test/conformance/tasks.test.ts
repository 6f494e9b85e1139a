import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GatewayProcess, startGatewayProcess } from "../support/gateway-process.ts";
import { startLegacyTasksServer } from "../support/legacy-tasks-server.ts";
import { complaintsOf, suiteMissing, TASK_POLICY, TASK_SCENARIOS } from "./suite.ts";

const ASKING = ["tasks-mrtr-input", "tasks-mrtr-composition"];

describe.skipIf(suiteMissing()).each([
  { asksOn: "session", scenarios: TASK_SCENARIOS },
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
          ...TASK_POLICY.flatMap((p) => ["--tool", p]),
        ],
        { atEnd: (cleanUp) => cleanUps.push(cleanUp) },
      );
    });
    afterAll(() => Promise.all(cleanUps.map((cleanUp) => cleanUp())));

    test.concurrent.each(scenarios)("passes %s", async (scenario) => {
      expect(await complaintsOf(gateway.url, scenario)).toEqual([]);
    });
  },
);
