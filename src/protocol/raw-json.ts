import { mayBeDeeperThan } from "./json-limits.ts";
import { type ByteRange, scanJson } from "./json-scan.ts";
import { isObject, type JsonObject, type JsonText, RawJson, toJson } from "./jsonrpc.ts";

/** The result of `readJson`. */
export type ReadJson =
  | {
      readonly kind: "json";
      /** One value, or all elements of an array; bulky values are `RawJson`. */
      readonly value: unknown;
      /** How many values were parsed: a measure of the memory that they take apart from the text. */
      readonly values: number;
    }
  | { readonly kind: "invalid" | "tooDeep" | "tooManyValues" | "tooManyElements" };

/** How many parsed values a message may have; values that stay text do not count. */
export const MAX_PARSED_VALUES = 16_384;

/**
 * Parses a JSON text as far as the gateway's decisions need it: arguments of tools stay text, and so do values that are too bulky to parse
 * for every client that sends them.
 * @param bytes valid UTF-8
 * @param maxElements how many messages a batch may have
 */
export function readJson(bytes: Buffer, maxDepth: number, maxElements: number): ReadJson {
  const scanned = scanJson(bytes, { maxDepth, maxElements });
  switch (scanned.kind) {
    case "value":
      if (scanned.values > MAX_PARSED_VALUES) return { kind: "tooManyValues" };
      return { kind: "json", value: parseAround(bytes, scanned.bulky), values: scanned.values };
    case "array":
      return scanned.hasMore ? { kind: "tooManyElements" } : readElements(bytes, scanned.elements, maxDepth);
    case "tooDeep":
      return { kind: "tooDeep" };
    case "invalid":
      return { kind: mayBeDeeperThan(bytes, maxDepth) ? "tooDeep" : "invalid" };
  }
}

/** The opposite of `paramsText`. @throws SyntaxError when the text is not that of params */
export function readParams(text: string): JsonObject {
  const message = readJson(Buffer.from(`{"params":${text}}`), Number.MAX_SAFE_INTEGER, 0);
  const params = message.kind === "json" && isObject(message.value) ? message.value.params : undefined;
  if (!isObject(params)) throw new SyntaxError("no params");
  return params;
}

/** Serialises params; `RawJson` values stay as they are. */
export function paramsText(params: JsonObject): JsonText {
  return objectText(params, textOf);
}

/** Serialises a message; `RawJson` values stay byte for byte as they came. */
export function messageText(message: object): JsonText {
  return objectText(message as JsonObject, (value, key) =>
    key === "params" && isObject(value) ? paramsText(value) : textOf(value),
  );
}

/** A placeholder for a text that is inserted afterwards. It is random, so that no message from outside can contain it. */
const MARK = `${crypto.randomUUID()}:`;

function readElements(bytes: Buffer, elements: readonly ByteRange[], maxDepth: number): ReadJson {
  const read: unknown[] = [];
  let values = 0;
  for (const { start, end } of elements) {
    const element = readJson(bytes.subarray(start, end), maxDepth, 0);
    // An array in an array is no message, whatever it contains.
    if (element.kind === "tooManyElements") read.push([]);
    else if (element.kind === "json") {
      read.push(element.value);
      values += element.values;
    } else return element;
    if (values > MAX_PARSED_VALUES) return { kind: "tooManyValues" };
  }
  return { kind: "json", value: read, values };
}

function parseAround(bytes: Buffer, bulky: readonly ByteRange[]): unknown {
  if (bulky.length === 0) return JSON.parse(bytes.toString("utf8"));
  let text = "";
  let from = 0;
  for (const [index, { start, end }] of bulky.entries()) {
    text += `${bytes.toString("utf8", from, start)}"${MARK}${index}"`;
    from = end;
  }
  const message: unknown = JSON.parse(text + bytes.toString("utf8", from));
  const rawOf = (mark: string): RawJson => {
    const { start, end } = bulky[Number(mark.slice(MARK.length))] as ByteRange;
    return new RawJson(bytes.toString("utf8", start, end));
  };
  putBack(message, rawOf);
  if (isObject(message)) putBack(message.params, rawOf);
  return message;
}

/** Replaces placeholders in `object`, which was just parsed and which nobody else uses. */
function putBack(object: unknown, rawOf: (mark: string) => RawJson): void {
  if (!isObject(object)) return;
  for (const key of Object.keys(object)) {
    const value = object[key];
    if (typeof value === "string" && value.startsWith(MARK))
      // Not an assignment: `__proto__` is a key like any other.
      Object.defineProperty(object, key, { value: rawOf(value), enumerable: true });
  }
}

function textOf(value: unknown): string | undefined {
  return value instanceof RawJson ? value.text : toJson(value);
}

/** Like `JSON.stringify`, it leaves out members without a text. */
function objectText(
  object: JsonObject,
  textOf: (value: unknown, key: string) => string | undefined,
): JsonText {
  const members: string[] = [];
  for (const key of Object.keys(object)) {
    const text = textOf(object[key], key);
    if (text !== undefined) members.push(`${toJson(key)}:${text}`);
  }
  return `{${members.join(",")}}` as JsonText;
}
