import { z } from "zod";
import { fileSchema } from "./schema.ts";
import { REFERENCE } from "./units.ts";

/** The part of JSON Schema that describes a setting, plus what the manual's tables need. */
export interface SettingSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  /** The accepted values, in words. */
  readonly values?: string;
  readonly properties?: Readonly<Record<string, SettingSchema>>;
  readonly additionalProperties?: false | SettingSchema;
  readonly items?: SettingSchema;
}

/** The JSON Schema (2020-12) of the configuration file, for editors: it accepts everything that the gateway may accept. */
export function jsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(fileSchema, {
    io: "input",
    override: ({ jsonSchema }) => {
      presetAsDefault(jsonSchema);
      allowAnnotations(jsonSchema);
      allowReference(jsonSchema);
      delete jsonSchema.values;
    },
  });
  const properties = { $schema: { description: "Where an editor finds this schema." }, ...schema.properties };
  return { ...schema, properties, title: "Configuration of mcp-taskgate" };
}

/** The schema of the settings alone, with `values`. */
export function settingSchema(): SettingSchema {
  const schema = z.toJSONSchema(fileSchema, {
    io: "input",
    override: ({ jsonSchema }) => presetAsDefault(jsonSchema),
  });
  return schema as SettingSchema;
}

/**
 * Zod omits `default` from the input schema of everything it transforms, because its defaults belong to the output. Ours are texts of the
 * file, so they travel as `preset`.
 */
function presetAsDefault(schema: Record<string, unknown>): void {
  if (schema.preset === undefined) return;
  schema.default = schema.preset;
  delete schema.preset;
}

/** Allows the keys that `withoutAnnotations` removes. */
function allowAnnotations(schema: Record<string, unknown>): void {
  if (schema.properties !== undefined) schema.patternProperties = { "^x-": {} };
}

/** Also allows a reference to the environment in place of one of a few words: only the gateway knows its value. */
function allowReference(schema: Record<string, unknown>): void {
  if (schema.enum === undefined) return;
  schema.anyOf = [{ enum: schema.enum }, { pattern: REFERENCE }];
  delete schema.enum;
}
