import { z } from "zod";
import { fileSchema } from "./schema.ts";
import { REFERENCE } from "./units.ts";

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

/** JSON Schema (2020-12) of the configuration file, for editors: it accepts what the gateway may accept. */
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

/** The same with `values` kept, and nothing but settings. */
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

/** Keys that `withoutAnnotations` leaves out. */
function allowAnnotations(schema: Record<string, unknown>): void {
  if (schema.properties !== undefined) schema.patternProperties = { "^x-": {} };
}

/** One of a few words may come from the environment, and only the gateway knows which. */
function allowReference(schema: Record<string, unknown>): void {
  if (schema.enum === undefined) return;
  schema.anyOf = [{ enum: schema.enum }, { pattern: REFERENCE }];
  delete schema.enum;
}
