import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { VERBS } from "../../src/verbs.ts";
import { manPage, manText } from "../support/man-page.ts";
import { withoutPrograms } from "../support/required-programs.ts";

const written = readFileSync(manPage, "utf8");

test("the manual page says what --help says (else run test/support/write-man.ts)", async () => {
  expect(written).toBe(await manText());
}, 120_000);

test("it has every command, and flags with what they do", () => {
  expect([...written.matchAll(/^\.Ss (.*)$/gm)].map(([, verb]) => verb)).toEqual(VERBS);
  expect(written).toMatch(/^\.It Fl -port\nport to listen on \[default: 8080\]$/m);
});

test("the package has it where npm looks for it", () => {
  const { man, files } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  expect(fileURLToPath(new URL(`../../${man}`, import.meta.url))).toBe(fileURLToPath(manPage));
  expect(files).toContain("config");
});

describe.skipIf(withoutPrograms("the manual page", "mandoc"))("mandoc", () => {
  const mandoc = (...args: string[]) =>
    spawnSync("mandoc", [...args, fileURLToPath(manPage)], { encoding: "utf8" });

  test("finds nothing to say about it", () => {
    const { status, stdout, stderr } = mandoc("-Tlint", "-Wall");
    expect(`${stdout}${stderr}`).toBe("");
    expect(status).toBe(0);
  });

  test("shows the exit codes", () => {
    // Letters are printed over themselves to be bold.
    expect(mandoc("-Tascii").stdout.replaceAll(new RegExp(`.${String.fromCharCode(8)}`, "g"), "")).toMatch(
      /EXIT STATUS\n[\s\S]*\n {5}2 {7}the command cannot be carried out/,
    );
  });
});
