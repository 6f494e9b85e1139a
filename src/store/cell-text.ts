import { isObject } from "../protocol/jsonrpc.ts";

/** A cell as stored, with its expiry for a reader that judges it by its own clock. */
export interface StoredCell<T = unknown> {
  readonly value?: T;
  /** Milliseconds since the epoch. */
  readonly expires?: number | undefined;
}

/**
 * A cell as text: JSON without white space, except for a task's result (`outcome.result`), which is JSON text already and follows
 * unchanged after a newline. The JSON before it contains no newline, so the first one marks the result. Putting the result into a JSON
 * string would mean escaping it, and unescaping it with every read, which takes longer than all the rest.
 */
export function cellText(cell: unknown): string {
  const [rest, result] = withoutResult(cell);
  return joined(JSON.stringify(rest), result);
}

/** The cell of a text from `cellText`, with its result character for character. @throws SyntaxError for any other text */
export function cellOf(text: string): unknown {
  const [json, result] = parted(text);
  return withResult(JSON.parse(json), result);
}

/** Like `cellText`, for a cell with the expiry that Keyv keeps beside it. */
export function storedText({ value, expires }: StoredCell): string {
  const [rest, result] = withoutResult(value);
  return joined(JSON.stringify({ value: rest, expires }), result);
}

/** The opposite of `storedText`. @throws SyntaxError for any other text */
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
  // A lone surrogate has no bytes in UTF-8: it survives only escaped.
  if (typeof result !== "string" || !isWellFormed(result)) return [cell];
  return [{ ...cell, outcome }, result];
}

/** Changes `rest`, which was just parsed and which nobody else uses. */
function withResult(rest: unknown, result: string | undefined): unknown {
  if (result === undefined) return rest;
  if (!hasOutcome(rest)) throw new SyntaxError("a result without an outcome");
  rest.outcome.result = result;
  return rest;
}

/** A method of ES2024 that every Node we support has and the compiler's library does not declare. */
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
