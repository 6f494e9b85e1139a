import { describe, expect, onTestFinished, test } from "vitest";
import { startLegacyEverythingServer } from "../support/legacy-everything-server.ts";
import { runScenario, suiteMissing } from "./suite.ts";
import { type Check, complaints } from "./verdict.ts";

const check = (status: Check["status"], more: Partial<Check> = {}): Check => ({
  id: "a",
  description: "A thing",
  status,
  ...more,
});
const exemption = { scenario: "s", check: "b", reason: "because" };

test.each([
  ["a success passes", [check("SUCCESS")], [], []],
  ["a failure fails", [check("FAILURE", { errorMessage: "no" })], [], ["FAILURE a: A thing\n    no"]],
  ["a warning fails", [check("SUCCESS"), check("WARNING")], [], ["WARNING a: A thing\n    no message"]],
  [
    "a skip with a reason is not one of the checks",
    [check("SKIPPED", { errorMessage: "late" })],
    [],
    ["nothing was checked"],
  ],
  [
    "a skip without a reason fails",
    [check("SUCCESS"), check("SKIPPED")],
    [],
    ["SKIPPED a: A thing\n    no message"],
  ],
  ["a skip with a note passes", [check("SUCCESS"), check("SKIPPED", { details: { note: "n" } })], [], []],
  ["information alone is nothing", [check("INFO")], [], ["nothing was checked"]],
  [
    "the check that is added to all is nothing",
    [check("SUCCESS", { id: "wire-schema-valid" })],
    [],
    ["nothing was checked"],
  ],
  ["no checks are nothing", [], [], ["nothing was checked"]],
  ["an exempted failure passes", [check("FAILURE", { id: "b" })], [exemption], []],
  [
    "an exemption covers its check alone",
    [check("FAILURE"), check("FAILURE", { id: "b" })],
    [exemption],
    ["FAILURE a: A thing\n    no message"],
  ],
  [
    "an exemption of a scenario covers every check",
    [check("FAILURE"), check("WARNING")],
    [{ scenario: "s", reason: "because" }],
    [],
  ],
  [
    "an exemption that is not needed fails",
    [check("SUCCESS", { id: "b" })],
    [exemption],
    ["exempted, but does not fail: b (because)"],
  ],
] as const)("%s", (_, checks, exemptions, expected) => {
  expect(complaints(checks, exemptions)).toEqual(expected);
});

describe.skipIf(suiteMissing())("the suite", () => {
  test("fails a server that has never heard of the revision", async () => {
    const server = await startLegacyEverythingServer();
    onTestFinished(server.close);

    const found = complaints(await runScenario(server.url, "tools-list"), []);
    expect(found).toEqual(expect.arrayContaining([expect.stringContaining("FAILURE tools-list")]));
  });

  test("is not taken to pass a scenario that it does not know", async () => {
    await expect(runScenario(new URL("http://127.0.0.1:9/mcp"), "no-such-scenario")).rejects.toThrow(
      "no results",
    );
  });
});
