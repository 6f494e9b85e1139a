import { isObject, type JsonObject } from "./jsonrpc.ts";

/** Members by which a message is told what it is, and who has to do with it. */
const MESSAGE_MEMBERS = new Set(["jsonrpc", "id", "method", "params", "result", "error"]);
/** The same of the params that the protocol's own methods have. */
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
/** A vendor's method may have params that are called as it likes. */
const OF_THE_PROTOCOL =
  /^(?:completion|elicitation|initialize|logging|notifications|prompts|resources|roots|sampling|server|subscriptions|tasks|tools)(?:\/|$)/;
/** What these hold is between a client and a server; everything else in a message is for the gateway to decide by. */
const DATA = { ofMessage: new Set(["result", "error"]), ofParams: new Set(["arguments", "inputResponses"]) };
/** Far more than any message has apart from those. */
const MAX_MEMBERS = 10_000;

/**
 * Finds a member of a message that two readers may read differently, so that a server would do something else than what was checked here:
 * one that is there twice (some take the first), one whose name differs from that of a known member only by what some readers
 * overlook (case, and everything from a NUL on), and `__proto__`, through which some copies inherit members. Arguments of tools are
 * not looked into: they are checked by nobody but the server.
 *
 * Such a message is refused, and not written again as it was read here: no program that writes JSON from an object makes one, and to write
 * it again would change its numbers.
 *
 * @param json the text of the message, or batch, which must be valid JSON
 * @param message what the text says
 * @returns what is wrong, for the client; `undefined` for a message that can be read in one way only
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

/** What a reader that overlooks case, or ends a name at a NUL, takes a name for; `undefined` for what is too long to be a known one. */
function foldedName(key: string): string | undefined {
  const [name = ""] = key.split("\0", 1);
  if (name.length > MAX_NAME_CHARS) return undefined;
  // To upper case first: there are letters with another lower case form, such as the long s.
  const folded = name.toUpperCase().toLowerCase();
  return [...MESSAGE_MEMBERS, ...PARAMS_MEMBERS].find((known) => known.toLowerCase() === folded);
}

const MAX_NAME_CHARS = 32;

function quote(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}

/** An object or array that is open; made once for each depth, since there may be a million of them after each other. */
interface Level {
  isObject: boolean;
  isMessage: boolean;
  /** Which of its members' values are passed over. */
  data: ReadonlySet<string>;
  /** The names so far, if there are any. */
  names: Set<string> | undefined;
}

/** One look at the text; data are passed over. */
function repeatedMember(json: string, isBatch: boolean): string | undefined {
  const levels: Level[] = [];
  let depth = 0;
  let level: Level | undefined;
  /** The member whose value comes next, and whether that is passed over. */
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

/** Where the closing quotation mark of a text is that begins here. */
function endOfText(json: string, start: number): number {
  let end = json.indexOf('"', start + 1);
  while (end !== -1 && isEscaped(json, start, end)) end = json.indexOf('"', end + 1);
  return end === -1 ? json.length : end;
}

/** Whether an odd number of backslashes stands before a character of the text that begins at `start`. */
function isEscaped(json: string, start: number, at: number): boolean {
  let first = at;
  while (first - 1 > start && json.charCodeAt(first - 1) === BACKSLASH) first -= 1;
  return (at - first) % 2 === 1;
}

/** Where the object or array ends that begins here. */
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
