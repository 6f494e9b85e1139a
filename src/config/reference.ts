import { type SettingSchema, settingSchema } from "./json-schema.ts";

/** The sections of a file, in order; a setting belongs to the longest one that its path begins with. */
export const SECTIONS = [
  "listen",
  "admin",
  "store",
  "callers",
  "limits",
  "log",
  "reload",
  "tracing",
  "servers",
  "servers.<name>.upstream",
  "servers.<name>.tasks",
  "servers.<name>.tools",
  "webhooks",
  "events",
] as const;

/** A Markdown table of one section's settings for the manual: path, values, default and meaning. */
export function settingsMarkdown(section: (typeof SECTIONS)[number]): string {
  const rows = settingRows("", settingSchema()).filter((line) => sectionOf(line) === section);
  return ["| setting | values | default | meaning |", "|---|---|---|---|", ...rows].join("\n");
}

function sectionOf(line: string): string {
  const found = SECTIONS.findLast((section) =>
    ["`", ".", "["].some((end) => line.startsWith(`| \`${section}${end}`)),
  );
  if (found === undefined) throw new Error(`the manual has no section for ${line}`);
  return found;
}

function settingRows(path: string, schema: SettingSchema): readonly string[] {
  const { properties, additionalProperties, items } = schema;
  if (properties !== undefined) {
    return Object.entries(properties).flatMap(([key, inner]) =>
      key === "tools" && inner.items?.properties !== undefined
        ? ruleRows(`${path}.${key}`, inner, properties.tasks)
        : settingRows(path === "" ? key : `${path}.${key}`, inner),
    );
  }
  if (additionalProperties && additionalProperties.properties !== undefined) {
    return settingRows(`${path}.<name>`, additionalProperties);
  }
  return [row(path, schema, items?.values)];
}

/** One row stands for all settings that a rule shares with `tasks`: it is shorter and cannot differ. */
function ruleRows(path: string, schema: SettingSchema, tasks: SettingSchema | undefined): readonly string[] {
  const inherited = Object.keys(tasks?.properties ?? {});
  const own = Object.entries(schema.items?.properties ?? {});
  const shared = own.filter(([key]) => inherited.includes(key)).map(([key]) => `\`${key}\``);
  return [
    row(path, schema, "rule"),
    ...own.filter(([key]) => !inherited.includes(key)).map(([key, inner]) => row(`${path}[].${key}`, inner)),
    cells(
      `\`${path}[].…\``,
      shared.join(", "),
      "from `tasks`",
      "The same settings for the tools that match.",
    ),
  ];
}

function row(path: string, schema: SettingSchema, item?: string): string {
  const words = schema.enum?.map((value) => `\`${value}\``).join(", ");
  const values = words ?? schema.values ?? (item === undefined ? "text" : `list of ${item}s`);
  return cells(`\`${path}\``, values, presetOf(schema.default), schema.description ?? "");
}

function presetOf(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value === "object" && value !== null && Object.keys(value).length === 0) return "none";
  return `\`${String(value)}\``;
}

function cells(...texts: readonly string[]): string {
  return `| ${texts.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
}
