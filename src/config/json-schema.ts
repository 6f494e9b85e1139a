import { z } from "zod";
import { fileSchema } from "./schema.ts";

/** As much of JSON Schema as describes a setting, with what its table in the manual needs besides. */
export interface SettingSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  /** What may be given, in words. */
  readonly values?: string;
  readonly properties?: Readonly<Record<string, SettingSchema>>;
  readonly additionalProperties?: false | SettingSchema;
  readonly items?: SettingSchema;
}

/** JSON Schema (2020-12) of the configuration file, for editors. */
export function jsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(fileSchema, {
    io: "input",
    override: ({ jsonSchema }) => {
      presetAsDefault(jsonSchema);
      delete jsonSchema.values;
    },
  });
  return { ...schema, title: "Configuration of mcp-taskgate" };
}

/** The same with `values` kept. */
export function settingSchema(): SettingSchema {
  const schema = z.toJSONSchema(fileSchema, {
    io: "input",
    override: ({ jsonSchema }) => presetAsDefault(jsonSchema),
  });
  return schema as SettingSchema;
}

/**
 * Zod leaves `default` out of the input schema of everything it transforms, because its defaults belong to the
 * output. Ours are texts of the file, so that they travel under another name.
 */
function presetAsDefault(schema: Record<string, unknown>): void {
  if (schema.preset === undefined) return;
  schema.default = schema.preset;
  delete schema.preset;
}
