import { expect, test } from "vitest";
import { manual } from "../support/settings-block.ts";

test("the manual has the settings that the schema has (else run test/support/write-settings.ts)", () => {
  const { written, expected } = manual();
  expect(written).toBe(expected);
});
