/** Every link of the pages leads to a file that there is, and to a heading that it has. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const PAGES = [
  "README.md",
  "SECURITY.md",
  "CHANGELOG.md",
  "src/README.md",
  "findings/README.md",
  "test/corpus/RESULTS.md",
  ...readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

test.each(PAGES)("the links of %s lead somewhere", (page) => {
  expect(linksOf(page).filter((link) => !leadsSomewhere(page, link))).toEqual([]);
});

test("every page of the manual can be reached from the front page", () => {
  const linked = linksOf("README.md").map((link) => link.replace(/#.*/, ""));
  const missing = PAGES.filter((page) => page.startsWith("docs/") && !linked.includes(page));
  expect(missing).toEqual([]);
});

test("the files that the way through the source names are there", () => {
  const text = readFileSync(join(ROOT, "src/README.md"), "utf8");
  const named = [...text.matchAll(/`([\w-]+\/[\w/.-]+\.ts)`/g)].map(([, file = ""]) => file);
  expect(named.length).toBeGreaterThan(20);
  const isThere = (file: string) => existsSync(join(ROOT, file.startsWith("test/") ? "" : "src", file));
  expect(named.filter((file) => !isThere(file))).toEqual([]);
});

test("the front page fits in 180 lines, and the way through the source in 100", () => {
  const lines = (page: string) => readFileSync(join(ROOT, page), "utf8").trimEnd().split("\n").length;
  expect(lines("README.md")).toBeLessThanOrEqual(180);
  expect(lines("src/README.md")).toBeLessThanOrEqual(100);
});

/** Links to files of this repository. */
function linksOf(page: string): readonly string[] {
  const text = readFileSync(join(ROOT, page), "utf8").replace(/```[\s\S]*?```/g, "");
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = ""]) => link)
    .filter((link) => !/^[a-z]+:/.test(link));
}

function leadsSomewhere(page: string, link: string): boolean {
  const [path = "", fragment] = link.split("#");
  const file = path === "" ? join(ROOT, page) : join(ROOT, dirname(page), path);
  if (relative(ROOT, file).startsWith("..") || !existsSync(file)) return false;
  return fragment === undefined || anchorsOf(file).includes(fragment);
}

/** The anchors of a page's headings, as the sites that show Markdown make them. */
function anchorsOf(file: string): readonly string[] {
  return [...readFileSync(file, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}
