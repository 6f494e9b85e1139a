import { z } from "zod";
import { durationPattern, orReference, parseDuration, parseSize, sizePattern } from "./units.ts";

/**
 * The kinds of settings. Every message says only what was expected; `schemaProblems` adds what was given, because only it knows whether the
 * text came from the environment or is a secret.
 */

/** A mapping with exactly these keys. Of an unknown key the message is what there is: one message is for all of them. */
export function section<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys" ? Object.keys(shape).join(", ") : "must be a mapping",
  });
}

/** An optional setting. `preset` documents the default, which the resolver fills in. */
export function setting<Field extends z.ZodType>(field: Field, description: string, preset?: unknown) {
  return field.exactOptional().meta({ description, ...(preset === undefined ? {} : { preset }) });
}

/**
 * Text with a unit, as milliseconds. The default bound is the largest round one below 2^31 ms; a longer Node timer fires at once.
 */
export function duration({ min = "1ms", max = "24d" }: { min?: string; max?: string } = {}) {
  const expected = 'must be a duration with a unit such as "250ms", "1h" or "2d"';
  return quantity({ parse: parseDuration, expected, min, max }).meta({
    values: "duration",
    pattern: durationPattern,
  });
}

/** A duration, or a word for none. */
export function durationOr<const Word extends string>(word: Word) {
  const expected = `must be a duration with a unit such as "15s", or "${word}"`;
  return z
    .string({ error: expected })
    .transform((text, context): number | Word => {
      const value = parseDuration(text);
      if (text === word) return word;
      if (value !== undefined && value >= 1 && value <= MAX_DURATION_MS) return value;
      context.addIssue({ code: "custom", message: expected });
      return z.NEVER;
    })
    .meta({ values: `duration, \`${word}\``, pattern: orReference(`${word}|[0-9]+(ms|s|m|h|d)`) });
}

/** 24 days. */
const MAX_DURATION_MS = 2_073_600_000;

/** Text with a unit, as bytes. By default below 512mb, V8's limit for a string: most bounded values are one string. */
export function size({ max = "511mb" }: { max?: string } = {}) {
  const expected = 'must be a size with a unit such as "64kb" or "32mb"';
  return quantity({ parse: parseSize, expected, min: "1b", max }).meta({
    values: "size",
    pattern: sizePattern,
  });
}

function quantity(kind: {
  parse: (text: string) => number | undefined;
  expected: string;
  min: string;
  max: string;
}) {
  const from = kind.parse(kind.min) ?? Number.NaN;
  const to = kind.parse(kind.max) ?? Number.NaN;
  return z.string({ error: kind.expected }).transform((text, context) => {
    const value = kind.parse(text);
    if (value !== undefined && value >= from && value <= to) return value;
    const message = value === undefined ? kind.expected : `must be from ${kind.min} to ${kind.max}`;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  });
}

/** A whole number, or its decimal text, because `${PORT}` becomes a text. */
export function integer(min: number, max: number) {
  const range = `a whole number from ${min} to ${max}`;
  return z
    .unknown()
    .transform((given, context) => {
      const value = typeof given === "string" && /^\d+$/.test(given) ? Number(given) : given;
      if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
      context.addIssue({ code: "custom", message: `must be ${range}` });
      return z.NEVER;
    })
    .meta({
      values: range,
      type: ["integer", "string"],
      minimum: min,
      maximum: max,
      pattern: orReference("[0-9]+"),
    });
}

/** A boolean, or its text, because `${RETRY}` becomes a text. */
export function flag() {
  return z
    .unknown()
    .transform((given, context) => {
      const value = typeof given === "string" ? FLAGS[given] : given;
      if (typeof value === "boolean") return value;
      context.addIssue({ code: "custom", message: "must be true or false" });
      return z.NEVER;
    })
    .meta({ values: "`true`, `false`", type: ["boolean", "string"], pattern: orReference("true|false") });
}

const FLAGS: Readonly<Record<string, boolean>> = { true: true, false: false };

/** One of a few words. */
export function choice<const Values extends readonly string[]>(values: Values) {
  const known = values.join(", ");
  return z.enum(values, { error: `must be ${values.length === 1 ? known : `one of ${known}`}` });
}

/** Text that passes a test; `expected` completes the sentence "must be …". */
export function text(expected: string, accepts: (text: string) => boolean = (given) => given !== "") {
  const error = `must be ${expected}`;
  return z.string({ error }).refine(accepts, { error });
}

export function list<Item extends z.ZodType>(item: Item) {
  return z.array(item, { error: "must be a list" });
}
