import { readFileSync } from "node:fs";
import { jsonSchema } from "../../src/config/json-schema.ts";
import { SECTIONS, settingsMarkdown } from "../../src/config/reference.ts";

/** For editors, beside the examples. */
export const schemaFile = new URL("../../config/taskgate.schema.json", import.meta.url);

/** What `mcp-taskgate schema` prints. */
export function schemaText(): string {
  return `${JSON.stringify(jsonSchema(), null, 2)}\n`;
}

/** What the chart takes for values. */
export const valuesSchemaFile = new URL("../../config/helm/mcp-taskgate/values.schema.json", import.meta.url);

/**
 * The schema of the chart's values as it is, and as it would be with the settings that there are now. The chart says by itself when there
 * are no servers.
 */
export function valuesSchema(): { readonly written: string; readonly expected: string } {
  const written = readFileSync(valuesSchemaFile, "utf8");
  const schema = JSON.parse(written);
  schema.properties.config = { ...jsonSchema(), $schema: undefined, required: undefined };
  return { written, expected: `${JSON.stringify(schema, null, 2)}\n` };
}

export const configurationManual = new URL("../../docs/configuration.md", import.meta.url);

/** The manual of the settings as it is, and as it would be with the tables that the schema gives now. */
export function manual(): { readonly written: string; readonly expected: string } {
  const written = readFileSync(configurationManual, "utf8");
  const expected = SECTIONS.reduce(withTable, written);
  return { written, expected };
}

function withTable(text: string, section: (typeof SECTIONS)[number]): string {
  const opening = `<!-- settings of ${section} -->\n`;
  const begin = text.indexOf(opening);
  const end = text.indexOf("<!-- /settings -->", begin);
  if (begin < 0 || end < begin) throw new Error(`docs/configuration.md has no ${opening.trim()}`);
  return [text.slice(0, begin), opening, settingsMarkdown(section), "\n", text.slice(end)].join("");
}
