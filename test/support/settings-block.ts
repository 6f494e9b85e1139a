import { readFileSync } from "node:fs";
import { settingsMarkdown } from "../../src/config/reference.ts";

const BEGIN = "<!-- settings -->";
const END = "<!-- /settings -->";

export const readme = new URL("../../README.md", import.meta.url);

/** The manual as it is, and as it would be with the table of settings that the schema gives now. */
export function manual(): { readonly written: string; readonly expected: string } {
  const written = readFileSync(readme, "utf8");
  const begin = written.indexOf(BEGIN);
  const end = written.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`README.md has no ${BEGIN} … ${END}`);
  const block = `${BEGIN}\n${settingsMarkdown()}\n`;
  return { written, expected: written.slice(0, begin) + block + written.slice(end) };
}
