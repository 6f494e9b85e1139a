import { isObject } from "../protocol/jsonrpc.ts";
import { type SettingSchema, settingSchema } from "./json-schema.ts";

/**
 * The document without what is not for the gateway: `$schema` at the top, by which an editor finds the schema, and in every
 * section the keys that begin with `x-`, where anchors are kept and other programs find what is theirs. Nothing in them is
 * judged, a reference to an unset variable included. The names of servers, headers and variables are no such keys.
 */
export function withoutAnnotations(document: unknown): unknown {
  if (!isObject(document)) return document;
  const { $schema: _, ...settings } = document;
  return withoutExtensions(settings, settingSchema());
}

/** Goes no deeper than the schema, because a document may refer to itself. */
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
