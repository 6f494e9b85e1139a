import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { manual, schemaFile, schemaText, valuesSchema } from "../support/settings-block.ts";

test("the manual has the settings that the schema has (else run test/support/write-settings.ts)", () => {
  const { written, expected } = manual();
  expect(written).toBe(expected);
});

test("the schema beside the examples is the one that there is (else run test/support/write-settings.ts)", () => {
  expect(readFileSync(schemaFile, "utf8")).toBe(schemaText());
});

test("the chart accepts the settings that the schema has (else run test/support/write-settings.ts)", () => {
  const { written, expected } = valuesSchema();
  expect(written).toBe(expected);
});
