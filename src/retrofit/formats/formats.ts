import { json } from "./json.ts";
import type { Format } from "./mapping.ts";
import { toml } from "./toml.ts";
import { yaml } from "./yaml.ts";

export type FormatName = "json" | "yaml" | "toml";

export const FORMATS: Readonly<Record<FormatName, Format>> = { json, yaml, toml };

/** The format of a file, by the end of its name; JSON where that says nothing. */
export function formatOf(file: string): FormatName {
  if (/\.ya?ml$/i.test(file)) return "yaml";
  return /\.toml$/i.test(file) ? "toml" : "json";
}
