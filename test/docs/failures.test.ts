import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const ROWS = readFileSync(join(ROOT, "docs/failures.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| what happens"))
  .map((line) => line.split("|").map((cell) => cell.trim()));

test("every row of the tables of failures is full, names tests that there are, and quotes what they look for", () => {
  expect(ROWS.length).toBeGreaterThan(40);
  for (const [before, what, ...rest] of ROWS) {
    const [client, operator, store, shownBy = "", after] = rest;
    expect([before, after, rest.length], what).toEqual(["", "", 5]);
    for (const cell of [what, client, operator, store]) expect(cell, what).not.toBe("");
    expect(shownBy, what).toMatch(/^`test\/[\w/-]+\.test\.ts`(, `test\/[\w/-]+\.test\.ts`)*$/);
    const files = [...shownBy.matchAll(/`([^`]+)`/g)].map(([, file = ""]) => join(ROOT, file));
    for (const file of files) expect(existsSync(file), `${what}: ${file}`).toBe(true);
    const text = files.map((file) => readFileSync(file, "utf8")).join("");
    for (const [, quoted = ""] of operator?.matchAll(/"([^"]+)"/g) ?? [])
      expect(text.includes(quoted), `${what}: ${quoted}`).toBe(true);
  }
});
