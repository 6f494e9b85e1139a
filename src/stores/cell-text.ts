import { isObject } from "../protocol/jsonrpc.ts";

/** What is stored of a cell: the cell, and for whoever judges that by his own clock, when it expires. */
export interface StoredCell<T = unknown> {
  readonly value?: T;
  /** Milliseconds since the epoch. */
  readonly expires?: number | undefined;
}

/**
 * A cell as text. It is JSON, but for the result of a task, `outcome.result`, which is JSON text already: that comes as it is behind
 * a newline, after the rest. JSON without white space has no newline of its own, so that the first one is where the result begins.
 * To put it into a string of the JSON would be to escape it, and to unescape it with every read, which takes longer than all the rest.
 */
export function cellText(cell: unknown): string {
  const [rest, result] = withoutResult(cell);
  return joined(JSON.stringify(rest), result);
}

/** The cell that has this text: its result is what was given, character for character. @throws SyntaxError when there is none */
export function cellOf(text: string): unknown {
  const [json, result] = parted(text);
  return withResult(JSON.parse(json), result);
}

/** The same for a cell with what Keyv keeps beside it. */
export function storedText({ value, expires }: StoredCell): string {
  const [rest, result] = withoutResult(value);
  return joined(JSON.stringify({ value: rest, expires }), result);
}

/** @throws SyntaxError when it is none of those texts */
export function storedOf<T>(text: string): StoredCell<T> {
  const [json, result] = parted(text);
  const stored: unknown = JSON.parse(json);
  if (!isObject(stored)) throw new SyntaxError("no cell with what is kept beside it");
  withResult(stored.value, result);
  return stored as StoredCell<T>;
}

const NEWLINE = "\n";

function withoutResult(cell: unknown): readonly [rest: unknown, result?: string] {
  if (!hasOutcome(cell)) return [cell];
  const { result, ...outcome } = cell.outcome;
  // Half of a surrogate pair has no bytes in UTF-8: it survives only when it is escaped.
  if (typeof result !== "string" || !isWellFormed(result)) return [cell];
  return [{ ...cell, outcome }, result];
}

/** `rest` has just been parsed, and nobody else has it. */
function withResult(rest: unknown, result: string | undefined): unknown {
  if (result === undefined) return rest;
  if (!hasOutcome(rest)) throw new SyntaxError("a result without an outcome");
  rest.outcome.result = result;
  return rest;
}

/** A method of ES2024, which the compiler does not know of and every Node that we run on has. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

function joined(json: string, result: string | undefined): string {
  return result === undefined ? json : json + NEWLINE + result;
}

function parted(text: string): readonly [json: string, result?: string] {
  const end = text.indexOf(NEWLINE);
  return end === -1 ? [text] : [text.slice(0, end), text.slice(end + 1)];
}

function hasOutcome(cell: unknown): cell is { readonly outcome: { result?: unknown } } {
  return isObject(cell) && isObject(cell.outcome);
}
