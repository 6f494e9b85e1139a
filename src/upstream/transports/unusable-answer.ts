import { shortened } from "../../log/one-line.ts";
import { isJsonRpcError } from "../../protocol/errors.ts";
import {
  isObject,
  isRequestId,
  type JsonObject,
  type JsonRpcMessage,
  parseJson,
  type RequestId,
} from "../../protocol/jsonrpc.ts";

/** A message that can only be an answer, but is unusable as one. */
export class UnusableAnswer {
  /** The id that the answer names, if any. */
  readonly id: RequestId | undefined;
  /** What is wrong with the answer, completing a sentence: `its id is null`. */
  readonly why: string;
  /** Whether it may be a line of a log, if logs come on the same stream and no open request has its id. */
  readonly isUncertain: boolean;
  /** Whether it is one only if an open request has its id, because readers leave out such events. */
  readonly isMisnamed: boolean;

  constructor(id: RequestId | undefined, why: string, isUncertain = false, isMisnamed = false) {
    this.id = id;
    this.why = why;
    this.isUncertain = isUncertain;
    this.isMisnamed = isMisnamed;
  }
}

/** `undefined` stands for something that is neither a message nor an answer: a greeting, or a notification without a method. */
export type Incoming = JsonRpcMessage | UnusableAnswer | undefined;

/** Reads a text from a server: one message, or the messages of a batch (2025-03-26). Keeps unknown members. */
export function readIncoming(text: string): readonly Incoming[] {
  // Some programs begin their output with a byte order mark.
  const json = text.startsWith("\ufeff") ? text.slice(1) : text;
  const value = parseJson(json);
  if (value === undefined) return [readBroken(json)];
  const parts: readonly unknown[] = Array.isArray(value) ? value : [value];
  return parts.map(readPart);
}

/** Like `readIncoming`, for a text that must contain an answer, because nothing else will come. */
export function readWhole(text: string): readonly (JsonRpcMessage | UnusableAnswer)[] {
  const parts = readIncoming(text);
  if (parts.length === 0) return [new UnusableAnswer(undefined, "it is an empty batch")];
  return parts.map((part) => part ?? new UnusableAnswer(undefined, faultOfText(text)));
}

function faultOfText(text: string): string {
  if (text.trim() === "") return "it is empty";
  return parseJson(text) !== undefined ? "it is no JSON-RPC message" : "it is not JSON";
}

/** Whether a value is a JSON-RPC message. */
export function isMessage(value: unknown): value is JsonRpcMessage {
  if (!isObject(value) || value.jsonrpc !== "2.0") return false;
  const { id, method } = value;
  // A message whose method is no string is not an answer either: others would take it for a request.
  if (method !== undefined) return typeof method === "string" && (id === undefined || isRequestId(id));
  if (isJsonRpcError(value.error)) return id === undefined || isRequestId(id);
  // With an invalid error beside the result, nobody could tell which of the two is meant.
  return isRequestId(id) && isObject(value.result) && value.error === undefined;
}

/** Shows a value in an error message, without contents that may be long or confidential. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(shortened(value, 40));
  if (value === null || typeof value === "number" || typeof value === "boolean") return String(value);
  return Array.isArray(value) ? "an array" : value === undefined ? "missing" : "an object";
}

function readPart(value: unknown): Incoming {
  if (!isObject(value)) return undefined;
  const kind = kindOf((name) => Object.hasOwn(value, name), typeof value.method === "string");
  const isUsable =
    isMessage(value) && (kind === "other" || (!Object.hasOwn(value, "method") && value.id !== undefined));
  if (isUsable) return value;
  if (kind === "other") return undefined;
  const id = isRequestId(value.id) ? value.id : undefined;
  return new UnusableAnswer(id, faultOf(value), kind === "uncertain");
}

/** What a message with these members can be. Programs log objects as well. */
function kindOf(has: (name: string) => boolean, isNamed: boolean): "answer" | "uncertain" | "other" {
  const hasOutcome = has("result") || has("error");
  if (has("method") && !(hasOutcome && (!isNamed || has("id")))) return "other";
  if (has("jsonrpc")) return hasOutcome || has("id") ? "answer" : "other";
  return hasOutcome || has("id") ? "uncertain" : "other";
}

function faultOf(value: JsonObject): string {
  const { jsonrpc, id, method, result, error } = value;
  if (id === undefined) return `it has no id${saying(error)}`;
  if (id === null) return `its id is null${saying(error)}`;
  if (!isRequestId(id)) return `its id is ${shown(id)}, expected a string or an integer`;
  if (jsonrpc !== "2.0") return `its jsonrpc is ${shown(jsonrpc)}, expected "2.0"`;
  if (method !== undefined) return "it has a method, which only a request has";
  if (Object.hasOwn(value, "error")) return `${faultOfError(error)}${saying(error)}`;
  if (Object.hasOwn(value, "result")) return `its result is ${shown(result)}, expected an object`;
  return "it has neither a result nor an error";
}

function faultOfError(error: unknown): string {
  if (error === null) return "its error is null: an answer has either a result or an error";
  if (!isObject(error))
    return `its error is ${typeof error === "string" ? "a text" : shown(error)}, expected an object with a code and a message`;
  if (!Number.isInteger(error.code)) return `its error's code is ${shown(error.code)}, expected an integer`;
  return `its error's message is ${shown(error.message)}, expected a string`;
}

/** Quotes the server's own error message, which helps more than the fault in its shape. */
function saying(error: unknown): string {
  const words = isObject(error) ? error.message : error;
  if (typeof words !== "string" || words === "") return "";
  return `; it says: ${shortened(words, MAX_WORDS)}`;
}

const MAX_WORDS = 200;

/** Reads invalid JSON as far as possible; most often the cause is NaN. */
function readBroken(text: string): Incoming {
  const { members, word } = outlineOf(text.slice(0, MAX_OUTLINED));
  const kind = kindOf((name) => members.has(name), members.get("method")?.startsWith('"') ?? false);
  if (kind === "other") return undefined;
  const why = word === undefined ? "it is not JSON" : `it is not JSON: it contains ${word}`;
  return new UnusableAnswer(idFrom(members.get("id")), why, kind === "uncertain");
}

function idFrom(text: string | undefined): RequestId | undefined {
  const id = parseJson(text ?? "");
  return isRequestId(id) ? id : undefined;
}

/** How many characters to look at: other work waits meanwhile. */
const MAX_OUTLINED = 262_144;

interface Outline {
  /** The members of the object, or of the first object in an array, each with its text if that is a string, a number or a word. */
  readonly members: ReadonlyMap<string, string>;
  /** The first word that only other languages know, such as `NaN`. */
  readonly word: string | undefined;
}

const FOREIGN = new Set([
  "NaN",
  "Infinity",
  "-Infinity",
  "nan",
  "inf",
  "-inf",
  "undefined",
  "None",
  "True",
  "False",
]);
const MAX_WORD = 32;
const DELIMITERS = new Set('"{}[],: \t\r\n');

/** Finds the members of a text that need not be valid JSON. Looks at every character once. */
function outlineOf(text: string): Outline {
  const members = new Map<string, string>();
  let word: string | undefined;
  let at = text.length - text.trimStart().length;
  const level = text[at] === "[" ? 2 : 1;
  if (text[at] !== "{" && level === 1) return { members, word };
  let depth = 0;
  let key: string | undefined;
  let last: string | undefined;
  const take = (value: string) => {
    if (depth !== level) return;
    if (key === undefined) last = value;
    else members.set(key, value);
  };
  while (at < text.length) {
    const character = text[at] as string;
    const end = character === '"' ? endOfText(text, at) : endOfWord(text, at);
    if (character === '"') {
      take(end - at <= MAX_MEMBER ? text.slice(at, end) : '""');
    } else if (character === "{" || character === "[") {
      take(character);
      depth += 1;
    } else if (character === "}" || character === "]") {
      depth -= 1;
      if (depth < level) break;
    } else if (character === ":" && depth === level) {
      key = last?.slice(1, -1);
    } else if (character === "," && depth === level) {
      key = last = undefined;
    } else if (!DELIMITERS.has(character)) {
      const found = text.slice(at, Math.min(end, at + MAX_WORD));
      if (FOREIGN.has(found)) word ??= found;
      take(found);
    }
    at = Math.max(end, at + 1);
  }
  return { members, word };
}

/** The longest id, with its quotes. */
const MAX_MEMBER = 1_026;

function endOfText(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

function endOfWord(text: string, start: number): number {
  let at = start;
  while (at < text.length && !DELIMITERS.has(text[at] as string)) at += 1;
  return at;
}
