import { expect, test } from "vitest";
import { manual } from "./clients-table.ts";

test("the manual has the clients that the program has (else run test/retrofit/write-clients.ts)", () => {
  const { written, expected } = manual();
  expect(written).toContain("<!-- clients -->");
  expect(written).toBe(expected);
});
