import { rpc } from "./errors.ts";
import { isObject, type JsonObject } from "./jsonrpc.ts";

/** Headers as node:http gives them: names in lower case. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Where the body keeps what `Mcp-Name` mirrors (Streamable HTTP §Standard Request Headers; Tasks §Routing Headers). */
const NAME_FIELDS: Readonly<Record<string, string>> = {
  "tools/call": "name",
  "prompts/get": "name",
  "resources/read": "uri",
  "tasks/get": "taskId",
  "tasks/update": "taskId",
  "tasks/cancel": "taskId",
};

/**
 * Checks that `MCP-Protocol-Version` says what the body says.
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
  const field = Object.hasOwn(NAME_FIELDS, method) ? NAME_FIELDS[method] : undefined;
  const name = field === undefined ? undefined : params?.[field];
  if (typeof name === "string") checkMirrored(headers, "Mcp-Name", name);
}

/** A tool parameter that is mirrored in a header: the name after `Mcp-Param-`, and where its value stands. */
export interface HeaderParam {
  readonly header: string;
  readonly path: readonly string[];
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const MIRRORED_TYPES: readonly unknown[] = ["string", "integer", "boolean"];

/**
 * Finds the `x-mcp-header` annotations of an input schema, reached by `properties` only.
 * `undefined`: one of them breaks the rules, so that none can be relied on (Streamable HTTP §Schema Extension).
 */
export function headerParams(inputSchema: unknown): readonly HeaderParam[] | undefined {
  const found: HeaderParam[] = [];
  const visit = (schema: unknown, path: readonly string[]): boolean => {
    if (!isObject(schema) || !isObject(schema.properties)) return true;
    return Object.entries(schema.properties).every(([name, property]) => {
      if (!isObject(property)) return true;
      const header = property["x-mcp-header"];
      if (header !== undefined) {
        if (typeof header !== "string" || !TOKEN.test(header) || !MIRRORED_TYPES.includes(property.type))
          return false;
        if (found.some((other) => other.header.toLowerCase() === header.toLowerCase())) return false;
        found.push({ header, path: [...path, name] });
      }
      return visit(property, [...path, name]);
    });
  };
  return visit(inputSchema, []) ? found : undefined;
}

/**
 * Checks `Mcp-Param-*` against the arguments: present in the body means required in the headers, and the other way round.
 * @throws -32020 HeaderMismatch
 */
export function checkParamHeaders(headers: Headers, params: readonly HeaderParam[], args: unknown): void {
  for (const { header, path } of params) {
    const name = `Mcp-Param-${header}`;
    const value = valueAt(args, path);
    if (value === undefined || value === null) {
      const found = single(headers, name.toLowerCase());
      if (found !== undefined) throw rpc.invalidHeader(name, "is set, but the arguments have no such value");
    } else if (typeof value === "number") {
      checkNumber(headers, name, value);
    } else {
      checkMirrored(headers, name, typeof value === "string" ? value : JSON.stringify(value));
    }
  }
}

const SENTINEL = /^=\?base64\?(.*)\?=$/s;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The value of a mirrored header, out of its base64 sentinel if it has one (Streamable HTTP §Value Encoding).
 * `undefined`: not decodable.
 */
export function decodeHeaderValue(text: string): string | undefined {
  const encoded = SENTINEL.exec(text)?.[1];
  if (encoded === undefined) return isPlain(text) ? text : undefined;
  if (!BASE64.test(encoded)) return undefined;
  try {
    return utf8.decode(Buffer.from(encoded, "base64"));
  } catch {
    return undefined;
  }
}

function checkMirrored(headers: Headers, name: string, body: string): void {
  const decoded = mirrored(headers, name, body);
  if (decoded !== body) throw rpc.headerMismatch(name, { header: decoded, body });
}

/** Integers are compared as numbers: `42.0` and `42` are the same (Streamable HTTP §Server Validation). */
function checkNumber(headers: Headers, name: string, body: number): void {
  const decoded = mirrored(headers, name, String(body));
  if (decoded.trim() === "" || Number(decoded) !== body) {
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

/** One value without the white space round it, which is no part of it (RFC 9110 §5.5). */
function single(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  if (value === undefined) return undefined;
  return (typeof value === "string" ? value : value.join(", ")).replace(/^[ \t]+|[ \t]+$/g, "");
}

function isPlain(text: string): boolean {
  return /^[\t\x20-\x7e]*$/.test(text);
}

function valueAt(args: unknown, path: readonly string[]): unknown {
  let value = args;
  for (const key of path) {
    if (!isObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}
