import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const ROWS = readFileSync(join(ROOT, "docs/failures.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| what happens"))
  .map((line) => line.split("|").map((cell) => cell.trim()));

test("every row of the table of failures is full, and names a test that there is", () => {
  expect(ROWS.length).toBeGreaterThan(20);
  for (const [before, what, ...rest] of ROWS) {
    const [client, operator, store, shownBy, after] = rest;
    expect([before, after, rest.length], what).toEqual(["", "", 5]);
    for (const cell of [what, client, operator, store]) expect(cell, what).not.toBe("");
    const file = /^`(test\/[\w/-]+\.test\.ts)`$/.exec(shownBy ?? "")?.[1];
    expect(file !== undefined && existsSync(join(ROOT, file)), `${what}: ${shownBy}`).toBe(true);
  }
});
