import { isObject, type JsonObject } from "./jsonrpc.ts";

/** The members that decide what a message is and who handles it. */
const MESSAGE_MEMBERS = new Set(["jsonrpc", "id", "method", "params", "result", "error"]);
/** The deciding members of the params of the protocol's own methods. */
const PARAMS_MEMBERS = new Set([
  "_meta",
  "arguments",
  "inputResponses",
  "name",
  "notifications",
  "requestId",
  "requestState",
  "task",
  "taskId",
  "uri",
]);
/** The protocol's own methods; a vendor's method may name its params as it likes. */
const OF_THE_PROTOCOL =
  /^(?:completion|elicitation|initialize|logging|notifications|prompts|resources|roots|sampling|server|subscriptions|tasks|tools)(?:\/|$)/;
/** Members whose contents concern only client and server; the gateway decides by everything else in a message. */
const DATA = { ofMessage: new Set(["result", "error"]), ofParams: new Set(["arguments", "inputResponses"]) };
/** Far more members than any message has outside of its data. */
const MAX_MEMBERS = 10_000;

/**
 * Finds a member of a message that gateway and server may read differently, so that the server would do something else than the gateway
 * checked: a repeated member (some readers take the first), a name that differs from a known one only by what some readers ignore (case,
 * and everything from a NUL on), and `__proto__`, through which some copies inherit members. It skips the arguments of tools: only the
 * server checks them.
 *
 * The gateway refuses such a message instead of rewriting it: no program that writes JSON from an object makes one, and rewriting would
 * change its numbers.
 *
 * @param json the text of the message, or batch, which must be valid JSON
 * @param message what the text says
 * @returns what is wrong, for the client; `undefined` for a message with only one reading
 */
export function ambiguityIn(json: string, message: unknown): string | undefined {
  const messages = Array.isArray(message) ? message : [message];
  return repeatedMember(json, Array.isArray(message)) ?? firstOf(messages, oddMember);
}

function firstOf<T>(items: readonly T[], find: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

function oddMember(message: unknown): string | undefined {
  if (!isObject(message)) return undefined;
  const odd = oddKey(message, MESSAGE_MEMBERS);
  if (odd !== undefined) return odd;
  const { method, params } = message;
  if (!isObject(params)) return undefined;
  const known = typeof method === "string" && OF_THE_PROTOCOL.test(method) ? PARAMS_MEMBERS : NONE;
  const oddParam = oddKey(params, known) ?? (isObject(params._meta) ? oddKey(params._meta, NONE) : undefined);
  return oddParam === undefined ? undefined : `params: ${oddParam}`;
}

const NONE: ReadonlySet<string> = new Set();

function oddKey(object: JsonObject, known: ReadonlySet<string>): string | undefined {
  for (const key of Object.keys(object)) {
    if (known.has(key)) continue;
    if (key === "__proto__") return "__proto__ must not be a member";
    const folded = foldedName(key);
    if (folded !== undefined && known.has(folded)) return `${quote(key)} must be spelled ${quote(folded)}`;
  }
  return undefined;
}

/** The known name that a reader which ignores case, or ends names at a NUL, takes this one for; `undefined`: none. */
function foldedName(key: string): string | undefined {
  const [name = ""] = key.split("\0", 1);
  if (name.length > MAX_NAME_CHARS) return undefined;
  // Upper case first, for letters with another lower case form, such as the long s.
  return BY_FOLDED_NAME.get(name.toUpperCase().toLowerCase());
}

const BY_FOLDED_NAME: ReadonlyMap<string, string> = new Map(
  [...MESSAGE_MEMBERS, ...PARAMS_MEMBERS].map((known) => [known.toLowerCase(), known]),
);

const MAX_NAME_CHARS = 32;

function quote(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}

/** An open object or array; one per depth is reused, because a text may have a million of them one after another. */
interface Level {
  isObject: boolean;
  isMessage: boolean;
  /** The members whose values the scan skips. */
  data: ReadonlySet<string>;
  /** The names so far, if any. */
  names: Set<string> | undefined;
}

/** Finds a repeated member in one pass over the text; skips data. */
function repeatedMember(json: string, isBatch: boolean): string | undefined {
  const levels: Level[] = [];
  let depth = 0;
  let level: Level | undefined;
  /** The member whose value comes next, and whether to skip that value. */
  let name = "";
  let isData = false;
  let members = 0;
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfText(json, at);
      if (level?.isObject && nextIs(json, end + 1, COLON)) {
        name = nameIn(json.slice(at, end + 1));
        level.names ??= new Set();
        if (level.names.has(name)) return `the member ${quote(name)} is there more than once`;
        level.names.add(name);
        isData = level.data.has(name);
        members += 1;
        if (members > MAX_MEMBERS) return `it has more than ${MAX_MEMBERS} members, apart from arguments`;
      }
      at = end;
    } else if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      if (isData && level?.isObject) at = endOfValue(json, at);
      else {
        const isObject = code === OPEN_OBJECT;
        const isMessage = isObject && depth === (isBatch ? 1 : 0);
        const isParams: boolean = isObject && level?.isMessage === true && name === "params";
        const data = isMessage ? DATA.ofMessage : isParams ? DATA.ofParams : NONE;
        level = levels[depth] ??= { isObject, isMessage, data, names: undefined };
        level.isObject = isObject;
        level.isMessage = isMessage;
        level.data = data;
        level.names = undefined;
        depth += 1;
      }
    } else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
      depth -= 1;
      level = levels[depth - 1];
    }
  }
  return undefined;
}

function nameIn(text: string): string {
  return text.includes("\\") ? (JSON.parse(text) as string) : text.slice(1, -1);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** The index of the quotation mark that closes the string at `start`. */
function endOfText(json: string, start: number): number {
  let end = json.indexOf('"', start + 1);
  while (end !== -1 && isEscaped(json, start, end)) end = json.indexOf('"', end + 1);
  return end === -1 ? json.length : end;
}

/** Whether an odd number of backslashes precedes the character at `at` in the string at `start`. */
function isEscaped(json: string, start: number, at: number): boolean {
  let first = at;
  while (first - 1 > start && json.charCodeAt(first - 1) === BACKSLASH) first -= 1;
  return (at - first) % 2 === 1;
}

/** The index of the bracket that closes the object or array at `start`. */
function endOfValue(json: string, start: number): number {
  let depth = 0;
  for (let at = start; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code === QUOTE) at = endOfText(json, at);
    else if (code === OPEN_OBJECT || code === OPEN_ARRAY) depth += 1;
    else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
      depth -= 1;
      if (depth === 0) return at;
    }
  }
  return json.length;
}

function nextIs(json: string, from: number, wanted: number): boolean {
  let at = from;
  while (WHITE_SPACE.has(json.charCodeAt(at))) at += 1;
  return json.charCodeAt(at) === wanted;
}

const WHITE_SPACE: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);
