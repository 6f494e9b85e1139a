import { rpc } from "./errors.ts";
import { isObject, type JsonObject, RawJson } from "./jsonrpc.ts";

/** The headers of an event stream. */
export const EVENT_STREAM_HEADERS = {
  "Content-Type": "text/event-stream",
  "Cache-Control": "no-cache, no-transform",
  "X-Accel-Buffering": "no",
};
/** The headers of a JSON text that begins with white space; nginx would hold the white space back. */
export const BEGUN_JSON_HEADERS = {
  ...EVENT_STREAM_HEADERS,
  "Content-Type": "application/json",
};
/** White space, which may stand before a JSON text (RFC 8259 §2): for clients that read no streams, what `KEEP_ALIVE` is for others. */
export const KEEP_ALIVE_JSON = " ";
/** A comment, which clients ignore; it keeps intermediaries from taking the connection for dead. */
export const KEEP_ALIVE = ":\n\n";

/** Whether a content type is that of an event stream. */
export function isEventStream(contentType: string | undefined): boolean {
  return contentType !== undefined && /^text\/event-stream\s*(?:;|$)/i.test(contentType);
}

/** A content type without its parameters, in lower case; empty if there is none. A sender may repeat the header, which makes it an array. */
export function mediaType(contentType: string | undefined): string {
  const [type = ""] = String(contentType ?? "").split(";", 1);
  return type.trim().toLowerCase();
}

/** Headers as node:http gives them: names in lower case. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The member of params that `Mcp-Name` mirrors (Streamable HTTP §Standard Request Headers; Tasks §Routing Headers). */
const NAME_FIELDS: Readonly<Record<string, string>> = {
  "tools/call": "name",
  "prompts/get": "name",
  "resources/read": "uri",
  "tasks/get": "taskId",
  "tasks/update": "taskId",
  "tasks/cancel": "taskId",
};

/**
 * Checks that `MCP-Protocol-Version` matches the body.
 * @throws -32020 HeaderMismatch
 */
export function checkVersionHeader(headers: Headers, bodyVersion: string): void {
  const header = single(headers, "mcp-protocol-version");
  if (header !== bodyVersion) throw rpc.headerMismatch("MCP-Protocol-Version", { header, body: bodyVersion });
}

/**
 * Checks `Mcp-Method` and, where the method has one, `Mcp-Name` against the body.
 * @throws -32020 HeaderMismatch
 */
export function checkRoutingHeaders(headers: Headers, method: string, params: JsonObject | undefined): void {
  const header = single(headers, "mcp-method");
  if (header !== method) throw rpc.headerMismatch("Mcp-Method", { header, body: method });
  const name = nameIn(method, params);
  if (name !== undefined) checkMirrored(headers, "Mcp-Name", name);
}

/** The headers that mirror a request's method and, where it has one, its name (Streamable HTTP §Standard Request Headers). */
export function routingHeaders(method: string, params: JsonObject | undefined): Record<string, string> {
  const name = nameIn(method, params);
  return { "mcp-method": method, ...(name === undefined ? {} : { "mcp-name": encodeHeaderValue(name) }) };
}

function nameIn(method: string, params: JsonObject | undefined): string | undefined {
  const field = Object.hasOwn(NAME_FIELDS, method) ? NAME_FIELDS[method] : undefined;
  const name = field === undefined ? undefined : params?.[field];
  return typeof name === "string" ? name : undefined;
}

/** A tool parameter that a header mirrors: the name after `Mcp-Param-`, and the path of its value in the arguments. */
export interface HeaderParam {
  readonly header: string;
  readonly path: readonly string[];
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const ANNOTATION = "x-mcp-header";
const MIRRORED_TYPES: readonly unknown[] = ["string", "integer", "boolean"];

/**
 * The `x-mcp-header` annotations of an input schema, reached by `properties` only. `undefined`: one of them breaks the rules, so that none
 * is reliable (Streamable HTTP §Schema Extension).
 */
export function headerParams(inputSchema: unknown): readonly HeaderParam[] | undefined {
  const found = new Map<string, HeaderParam>();
  const isValid = (schema: JsonObject, path: readonly string[]): boolean => {
    const header = schema[ANNOTATION];
    if (header !== undefined) {
      if (path.length === 0 || typeof header !== "string" || !TOKEN.test(header)) return false;
      if (!MIRRORED_TYPES.includes(schema.type)) return false;
      if (found.has(header.toLowerCase())) return false;
      found.set(header.toLowerCase(), { header, path });
    }
    const { properties, [ANNOTATION]: _, ...elsewhere } = schema;
    return (
      (!isObject(properties) ||
        Object.entries(properties).every(
          ([name, inner]) => !isObject(inner) || isValid(inner, [...path, name]),
        )) &&
      !isAnnotated(elsewhere)
    );
  };
  return !isObject(inputSchema) || isValid(inputSchema, []) ? [...found.values()] : undefined;
}

/** Keywords whose members the author names, and keywords that hold data: a name there is no annotation. */
const MAPS: readonly string[] = [
  "properties",
  "patternProperties",
  "dependentSchemas",
  "$defs",
  "definitions",
];
const DATA: readonly string[] = ["default", "const", "enum", "examples"];

/** Whether a part of a schema contains an annotation anywhere. */
function isAnnotated(part: unknown): boolean {
  if (Array.isArray(part)) return part.some(isAnnotated);
  if (!isObject(part)) return false;
  return (
    Object.hasOwn(part, ANNOTATION) ||
    Object.entries(part).some(([keyword, inner]) => {
      if (DATA.includes(keyword)) return false;
      return MAPS.includes(keyword) && isObject(inner)
        ? Object.values(inner).some(isAnnotated)
        : isAnnotated(inner);
    })
  );
}

/**
 * Checks `Mcp-Param-*` against the arguments: a value must be in both, with the same value, or in neither.
 * @throws -32020 HeaderMismatch
 */
export function checkParamHeaders(headers: Headers, params: readonly HeaderParam[], args: unknown): void {
  const given = params.length > 0 ? parsed(args) : undefined;
  for (const { header, path } of params) {
    const name = `Mcp-Param-${header}`;
    const value = valueAt(given, path);
    if (value === undefined || value === null) {
      const found = single(headers, name.toLowerCase());
      if (found !== undefined) throw rpc.invalidHeader(name, "is set, but the arguments have no such value");
    } else if (typeof value === "number") {
      checkNumber(headers, name, value);
    } else {
      checkMirrored(headers, name, mirroredText(value));
    }
  }
}

/** The headers that mirror a call's arguments, names in lower case. Absent and null arguments have none. */
export function paramHeaders(params: readonly HeaderParam[], args: unknown): Record<string, string> {
  const given = params.length > 0 ? parsed(args) : undefined;
  const present = params.flatMap(({ header, path }) => {
    const value = valueAt(given, path);
    if (value === undefined || value === null) return [];
    return [[`${PARAM_PREFIX}${header.toLowerCase()}`, encodeHeaderValue(mirroredText(value))] as const];
  });
  return Object.fromEntries(present);
}

/** All `Mcp-Param-*` headers of a client, to forward where the gateway does not know the tool's schema. */
export function givenParamHeaders(headers: Headers): Record<string, string> {
  const given = Object.keys(headers).filter((name) => name.startsWith(PARAM_PREFIX));
  return Object.fromEntries(given.map((name) => [name, single(headers, name) ?? ""]));
}

const PARAM_PREFIX = "mcp-param-";

/** A text as the value of a mirrored header (Streamable HTTP §Value Encoding). */
export function encodeHeaderValue(text: string): string {
  const isSafe = isPlain(text) && !SENTINEL.test(text) && !/^[ \t]|[ \t]$/.test(text);
  return isSafe ? text : `=?base64?${Buffer.from(text).toString("base64")}?=`;
}

const SENTINEL = /^=\?base64\?(.*)\?=$/s;
const DECIMAL = /^-?\d+(?:\.\d+)?$/;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The value of a mirrored header, decoded from its base64 sentinel if it has one (Streamable HTTP §Value Encoding). `undefined`: invalid.
 */
export function decodeHeaderValue(text: string): string | undefined {
  const encoded = SENTINEL.exec(text)?.[1];
  if (encoded === undefined) return isPlain(text) ? text : undefined;
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.toString("base64") !== encoded) return undefined;
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function checkMirrored(headers: Headers, name: string, body: string): void {
  const decoded = mirrored(headers, name, body);
  if (decoded !== body) throw rpc.headerMismatch(name, { header: decoded, body });
}

/** Compares integers as numbers: `42.0` and `42` are the same (Streamable HTTP §Server Validation). */
function checkNumber(headers: Headers, name: string, body: number): void {
  const decoded = mirrored(headers, name, String(body));
  if (!DECIMAL.test(decoded) || Number(decoded) !== body) {
    throw rpc.headerMismatch(name, { header: decoded, body: String(body) });
  }
}

function mirrored(headers: Headers, name: string, body: string): string {
  const header = single(headers, name.toLowerCase());
  if (header === undefined) throw rpc.headerMismatch(name, { header, body });
  const decoded = decodeHeaderValue(header);
  if (decoded === undefined) throw rpc.invalidHeader(name, "is not a valid header value");
  return decoded;
}

/** A header's value without surrounding white space, which is no part of it (RFC 9110 §5.5). */
function single(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  if (value === undefined) return undefined;
  return trimmed(typeof value === "string" ? value : value.join(", "));
}

/** A loop, because a regular expression for trailing blanks takes quadratic time: it tries every blank as the first. */
function trimmed(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isBlank(text[start])) start += 1;
  while (end > start && isBlank(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

const isBlank = (character: string | undefined) => character === " " || character === "\t";

function isPlain(text: string): boolean {
  return /^[\t\x20-\x7e]*$/.test(text);
}

function mirroredText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function parsed(args: unknown): unknown {
  return args instanceof RawJson ? args.parse() : args;
}

function valueAt(args: unknown, path: readonly string[]): unknown {
  let value = args;
  for (const key of path) {
    if (!isObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

/** The content types that a client accepts. */
export interface Accepts {
  readonly json: boolean;
  readonly stream: boolean;
}

const JSON_RANGE = /(?:^|,)\s*(?:application\/(?:json|\*)|\*\/\*)\s*(?:;|,|$)/i;
const STREAM_RANGE = /(?:^|,)\s*(?:text\/(?:event-stream|\*)|\*\/\*)\s*(?:;|,|$)/i;

/** Reads an `Accept` header; a client without one accepts both. */
export function readAccept(accept: string | undefined): Accepts {
  if (accept === undefined) return { json: true, stream: true };
  return { json: JSON_RANGE.test(accept), stream: STREAM_RANGE.test(accept) };
}

/** Whether a client says that it reads streams, as every client does that listens, and not only that it reads anything. */
export function namesStreams(accept: string | undefined): boolean {
  return accept?.toLowerCase().includes("text/event-stream") === true;
}

/** @throws RpcError, HTTP 406, when the client accepts neither content type */
export function checkAcceptable(accept: string | undefined): void {
  const { json, stream } = readAccept(accept);
  if (!json && !stream) throw rpc.notAcceptable("application/json or text/event-stream");
}

/** @throws RpcError, HTTP 415, unless the content type is JSON */
export function checkContentType(contentType = ""): void {
  if (!/^application\/json\s*(?:;|$)/i.test(contentType)) throw rpc.unsupportedMediaType(contentType);
}
