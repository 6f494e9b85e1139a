import { type Path, valueAt } from "../config/problems.ts";
import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import { ANY_CLIENT, CLIENTS, type Client, type EntryFields, FIELDS, SHAPES } from "./clients.ts";
import type { FormatName } from "./formats/formats.ts";

/** One server in a client's file. */
export interface Entry {
  readonly name: string;
  /** Where it is in the file, also after its client has sorted a list anew. */
  readonly id: Path;
  /** Where the mapping with its command or URL is. */
  readonly path: Path;
  readonly value: JsonObject;
}

export type Server =
  | { readonly kind: "local"; readonly words: readonly string[]; readonly cwd: string | undefined }
  | {
      readonly kind: "remote";
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      /** Headers whose values are in the client's environment: what stands before the value, and the variable. */
      readonly fromEnv: readonly HeaderFromEnv[];
    }
  | { readonly kind: "other"; readonly reason: string };

interface HeaderFromEnv {
  readonly name: string;
  readonly prefix: string;
  readonly variable: string;
}

/** In the order in which clients prefer them. */
const URLS = ["httpUrl", "url", "serverUrl", "uri", "baseUrl", "ws_url"] as const;
/** What an entry of another kind than these two can say of itself. */
const OTHER_KINDS: Readonly<Record<string, string>> = {
  ws: "speaks over a WebSocket, which the gateway does not",
  websocket: "speaks over a WebSocket, which the gateway does not",
  sdk: "runs inside the client",
  builtin: "runs inside the client",
  platform: "runs inside the client",
  frontend: "runs inside the client",
  inline_python: "runs inside the client",
  openapi: "is no MCP server",
};

/** The servers of a document, and whose form it has if no client was known: their names are not unique when a file has several places for them. */
export function entriesOf(
  document: unknown,
  client: Client,
  format: FormatName,
): { readonly client: Client; readonly entries: readonly Entry[] } {
  if (client !== ANY_CLIENT) return { client, entries: entriesAt(document, client.servers) };
  for (const [servers, name] of SHAPES) {
    const entries = entriesAt(document, [servers]).filter(({ value }) => looksLikeServer(value));
    const found = CLIENTS.find((each) => each.name === name);
    if (entries.length > 0 && (format === "toml") === (found?.name === "codex"))
      return { client: found ?? { ...ANY_CLIENT, servers: [servers] }, entries };
  }
  return { client, entries: [] };
}

export function fieldsOf({ fields }: Client): EntryFields {
  return { ...FIELDS, ...fields };
}

/** What an entry says of its server. */
export function serverOf({ value }: Entry, client: Client): Server {
  const other = (reason: string): Server => ({ kind: "other", reason });
  const fields = fieldsOf(client);
  const { [fields.command]: command, type, transport } = value;
  const url = urlOf(value);
  const kind = [type, transport].find((each) => typeof each === "string" && Object.hasOwn(OTHER_KINDS, each));
  if (kind !== undefined) return other(OTHER_KINDS[String(kind)] ?? "");
  if (command !== undefined && url !== undefined)
    return other("has a command and a URL: remove the one that is not meant");
  if (value.remote === true) return other("is started on another machine, where this program is not");
  if (url !== undefined) return remoteOf(value, url);
  if (isObject(command)) return other(`has the old form, with a mapping as ${fields.command}`);
  const words = wordsOf(value, fields);
  if (words === undefined || words[0] === undefined) return other("has no command and no URL");
  if (words[0].trim() === "") return other("has an empty command: write what starts the server");
  const { cwd } = value;
  return { kind: "local", words, cwd: typeof cwd === "string" ? cwd : undefined };
}

/** Command and arguments of an entry; `undefined` if there are none that could be started. */
export function wordsOf(
  value: JsonObject,
  { command: name, args: list }: EntryFields,
): readonly string[] | undefined {
  const { [name]: command, [list ?? ""]: args = [] } = value;
  const given = [
    ...(Array.isArray(command) ? command : [command]),
    ...(Array.isArray(args) ? args : [undefined]),
  ];
  const words = given.map((word) => (typeof word === "number" ? String(word) : word));
  return words.every((word) => typeof word === "string") ? words : undefined;
}

function remoteOf(value: JsonObject, url: string): Server {
  if (!/^https?:\/\//i.test(url) && !/^[${]/.test(url))
    return { kind: "other", reason: "is at a URL that is not http or https" };
  const given = [value.headers, value.http_headers, valueAt(value, ["requestOptions", "headers"])];
  const texts = given
    .flatMap((each) => (isObject(each) ? Object.entries(each) : []))
    .filter((header): header is [string, string] => typeof header[1] === "string");
  const names = isObject(value.env_http_headers) ? Object.entries(value.env_http_headers) : [];
  const bearer = value.bearer_token_env_var;
  return {
    kind: "remote",
    url,
    headers: Object.fromEntries(texts),
    fromEnv: [
      ...names.map(([name, variable]) => ({ name, prefix: "", variable: String(variable) })),
      ...(typeof bearer === "string" ? [{ name: "Authorization", prefix: "Bearer ", variable: bearer }] : []),
    ],
  };
}

function urlOf(value: JsonObject): string | undefined {
  const urls = URLS.map((name) => value[name]);
  return urls.find((each): each is string => typeof each === "string" && each !== "");
}

function entriesAt(document: unknown, patterns: readonly string[]): readonly Entry[] {
  const found = patterns
    .filter((pattern) => pattern !== "")
    .flatMap((pattern) => containers(document, pattern.split("."), []))
    .flatMap(entriesIn);
  if (found.length > 0 || !patterns.includes("")) return found;
  const bare = entriesIn({ path: [], node: document });
  return bare.length > 0 && bare.every(({ value }) => looksLikeServer(value)) ? bare : [];
}

interface Container {
  readonly path: Path;
  readonly node: unknown;
}

function containers(node: unknown, [key, ...rest]: readonly string[], path: Path): readonly Container[] {
  if (key === undefined) return [{ path, node }];
  if (!isObject(node)) return [];
  const keys = key === "*" ? Object.keys(node) : Object.hasOwn(node, key) ? [key] : [];
  return keys.flatMap((each) => containers(node[each], rest, [...path, each]));
}

/** The servers of a mapping, or of a list whose items have names. */
function entriesIn({ path, node }: Container): readonly Entry[] {
  const items = Array.isArray(node)
    ? node.map((value, index) => [index, value] as const)
    : isObject(node)
      ? Object.entries(node)
      : [];
  return items.flatMap(([key, value]) => {
    if (!isObject(value)) return [];
    const name = typeof key === "number" ? String(value.name ?? key) : key;
    // Cline has a second form, with everything that leads to the server one level deeper.
    const id = [...path, name];
    return isObject(value.transport)
      ? [{ name, id, path: [...path, key, "transport"], value: value.transport }]
      : [{ name, id, path: [...path, key], value }];
  });
}

function looksLikeServer(value: JsonObject): boolean {
  return value.command !== undefined || value.cmd !== undefined || urlOf(value) !== undefined;
}
