import { isObject } from "../protocol/jsonrpc.ts";
import { type SettingSchema, settingSchema } from "./json-schema.ts";

/**
 * The document without the parts that are not for the gateway: the top-level `$schema`, by which an editor finds the schema, and in every
 * section the keys that begin with `x-`, which hold anchors and the data of other programs. The gateway checks nothing in them, not even
 * references to variables. Names of servers, headers and variables may begin with `x-`; they stay.
 */
export function withoutAnnotations(document: unknown): unknown {
  if (!isObject(document)) return document;
  const { $schema: _, ...settings } = document;
  return withoutExtensions(settings, settingSchema());
}

/** Recurses no deeper than the schema, because a document may refer to itself. */
function withoutExtensions(value: unknown, schema: SettingSchema): unknown {
  const { properties, additionalProperties, items } = schema;
  if (Array.isArray(value))
    return items === undefined ? value : value.map((item) => withoutExtensions(item, items));
  if (!isObject(value)) return value;
  const entries = Object.entries(value);
  if (properties !== undefined) {
    const own = entries.filter(([key]) => !key.startsWith("x-"));
    return Object.fromEntries(own.map(([key, item]) => [key, inner(item, properties, key)]));
  }
  if (!additionalProperties) return value;
  return Object.fromEntries(
    entries.map(([key, item]) => [key, withoutExtensions(item, additionalProperties)]),
  );
}

function inner(item: unknown, properties: Readonly<Record<string, SettingSchema>>, key: string): unknown {
  const schema = Object.hasOwn(properties, key) ? properties[key] : undefined;
  return schema === undefined ? item : withoutExtensions(item, schema);
}
