import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { type Path, valueAt } from "../config/problems.ts";
import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import type { Client } from "./clients.ts";
import { type Entry, entriesOf, fieldsOf, wordsOf } from "./entries.ts";
import { FORMATS, type FormatName } from "./formats/formats.ts";
import { edited, type Format, type Mapping, type Parsed, splice, Unreadable } from "./formats/mapping.ts";
import type { Kept } from "./kept.ts";
import { isWrapped, unwrapped, type Wrapping, wrap } from "./wrapped.ts";

/** What it takes to put an entry back. */
export interface Undo {
  /** The text of the entry as it was. */
  readonly original: string;
  /** The text in its place: how long it is, and its hash. */
  readonly length: number;
  readonly hash: string;
  /** What the changed fields were before, for a file whose text its client has written anew. A field without a value was not there. */
  readonly fields: readonly { readonly key: string; readonly value?: unknown }[];
  /** The command that was written, which somebody may have changed since. */
  readonly words: readonly string[];
}

/** What happens to one entry. */
export interface Change {
  readonly entry: Entry;
  /** The entry's value afterwards. */
  readonly now: JsonObject;
  readonly notices: readonly string[];
  /** The entry's text, before and after. */
  readonly before: string;
  readonly after: string;
  readonly undo: Undo;
}

export interface Plan {
  readonly text: string;
  readonly client: Client;
  readonly changes: readonly Change[];
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
}

/** A file's text, and whose it is. */
export interface Source {
  readonly text: string;
  readonly client: Client;
  readonly format: FormatName;
}

/** What is to be done with an entry that stands at this place. */
type Step = (entry: Entry, place: Place, client: Client) => Stepped;
type Stepped = { readonly refusal: string } | { readonly text: string; readonly notices: readonly string[] };

interface Place {
  readonly text: string;
  readonly mapping: Mapping;
}

/** The file with the entries that are meant wrapped. @throws Unreadable */
export function planWrap(source: Source, isMeant: (entry: Entry) => boolean, wrapping: Wrapping): Plan {
  const format = FORMATS[source.format];
  return planned(source, isMeant, (entry, { text, mapping }, client) => {
    const wrapped = wrap(entry, client, wrapping);
    if ("refusal" in wrapped) return wrapped;
    return { text: edited(text, format, mapping, wrapped.changes), notices: wrapped.notices };
  });
}

/** The file with the entries that are meant as they were. @param keptOf what was kept of an entry when it was wrapped */
export function planUnwrap(
  source: Source,
  isMeant: (entry: Entry) => boolean,
  keptOf: (entry: Entry, isAsWritten: (undo: Undo) => boolean) => Kept | undefined,
  script: string,
): Plan {
  const format = FORMATS[source.format];
  return planned(source, isMeant, (entry, place, client) => {
    if (!isWrapped(entry, client, script)) return { refusal: "not wrapped" };
    const kept = keptOf(entry, (undo) => isAsWritten(place.text, place.mapping, undo));
    const undo = kept?.undo;
    const own = unwrapped(entry, client);
    const words = wordsOf(entry.value, fieldsOf(client));
    const isChanged = undo !== undefined && !isDeepStrictEqual(words, undo.words);
    if (undo !== undefined && (own === undefined || !isChanged)) {
      const changed = "Its command was changed since it was wrapped, and is as before that again.";
      const notices = [...(isChanged ? [changed] : []), ...renamedFrom(kept, entry)];
      return { text: restored(place, format, undo), notices };
    }
    if (own === undefined)
      return {
        refusal:
          "was not wrapped on this machine, or under another name, so that what its entry held is not known here: give it that name again, or change it by hand",
      };
    const why = isChanged
      ? "Its command was changed since it was wrapped"
      : "It was not wrapped on this machine, or under another name";
    const text = edited(place.text, format, place.mapping, own);
    return { text, notices: [`${why}: what stands behind the dashes is its command again.`] };
  });
}

function renamedFrom(kept: Kept | undefined, { id }: Entry): readonly string[] {
  const name = kept?.id.at(-1);
  return name === undefined || name === id.at(-1)
    ? []
    : [`It was called ${String(name)} when it was wrapped.`];
}

/** The text with one entry put back: byte for byte while the entry is as it was written, else field by field. */
function restored({ text, mapping }: Place, format: Format, undo: Undo): string {
  const { original, fields } = undo;
  if (isAsWritten(text, mapping, undo))
    return splice(text, mapping.start, mapping.start + undo.length, original);
  const changes = fields.map(({ key, value }) => [key, value] as const);
  return edited(text, format, mapping, changes);
}

function isAsWritten(text: string, { start }: Mapping, { length, hash }: Undo): boolean {
  return hashOf(text.slice(start, start + length)) === hash;
}

export function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** The file with what `step` does to the entries that are meant. */
function planned(source: Source, isMeant: (entry: Entry) => boolean, step: Step): Plan {
  const all = attempt(source, isMeant, step);
  if (all.isSafe) return all;
  const unsafe = all.changes.filter(({ entry }) => !attempt(source, only(entry), step).isSafe);
  const left = (unsafe.length > 0 ? unsafe : all.changes).map(({ entry }) => entry);
  const rest = attempt(
    source,
    (entry) => isMeant(entry) && !left.some(({ id }) => isSame(id, entry.id)),
    step,
  );
  return { ...rest, skipped: [...rest.skipped, ...left.map(({ name }) => ({ name, reason: UNSAFE }))] };
}

const UNEDITABLE =
  "is written in a way that cannot be edited: with a name that stands there twice, an alias, dotted keys or scattered tables";
const UNSAFE = "is written in a way that cannot be edited safely: change it by hand";

/**
 * One reading of the file, all changes, and one more reading to see that the text means what it should: a file of six megabytes is
 * common, and takes half a second.
 */
function attempt(
  source: Source,
  isMeant: (entry: Entry) => boolean,
  step: Step,
): Plan & { readonly isSafe: boolean } {
  const parsed = FORMATS[source.format].parse(source.text);
  const { client, entries } = entriesOf(parsed.value, source.client, source.format);
  const places = entries.filter(isMeant).map((entry) => ({ entry, mapping: parsed.mappingAt(entry.path) }));
  const changes: Omit<Change, "now" | "undo">[] = [];
  const skipped: Plan["skipped"][number][] = [];
  let { text } = source;
  // From the end of the text to its start, so that the places before each change stay where they are.
  for (const { entry, mapping } of places.sort((one, other) => startOf(other) - startOf(one))) {
    const stepped = mapping === undefined ? { refusal: UNEDITABLE } : step(entry, { text, mapping }, client);
    if ("refusal" in stepped || mapping === undefined) {
      skipped.unshift({ name: entry.name, reason: "refusal" in stepped ? stepped.refusal : UNEDITABLE });
      continue;
    }
    // Blank lines behind a table that was removed belong to what has changed as well.
    const behind = text.slice(mapping.end);
    const rest = stepped.text.endsWith(behind) ? behind.length : commonEnd(text, stepped.text);
    const before = text.slice(mapping.start, text.length - rest);
    const after = stepped.text.slice(mapping.start, stepped.text.length - rest);
    changes.unshift({ entry, notices: stepped.notices, before, after });
    text = stepped.text;
  }
  const now = reading(source.format, text);
  const full = changes.map((change) => withUndo(change, now?.value, client));
  const paths = full.map(({ entry }) => entry.path);
  const isSafe =
    now !== undefined &&
    isDeepStrictEqual(without(parsed.value, paths), without(now.value, paths)) &&
    full.every(({ entry, undo }) => {
      const mapping = now.mappingAt(entry.path);
      return mapping !== undefined && isAsWritten(text, mapping, undo);
    });
  return { text, client, changes: full, skipped, isSafe };
}

function startOf({ mapping }: { readonly mapping: Mapping | undefined }): number {
  return mapping?.start ?? 0;
}

function only(wanted: Entry): (entry: Entry) => boolean {
  return ({ id }) => isSame(id, wanted.id);
}

function isSame(one: Path, other: Path): boolean {
  return isDeepStrictEqual(one, other);
}

/** A text that was edited: an edit that means something else than it seems to, as with anchors, may leave no text of the format. */
function reading(format: FormatName, text: string): Parsed | undefined {
  try {
    return FORMATS[format].parse(text);
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

function withUndo(change: Omit<Change, "now" | "undo">, document: unknown, client: Client): Change {
  const { entry, before, after } = change;
  const { path, value } = entry;
  const found = valueAt(document, path);
  const now = isObject(found) ? found : {};
  const keys = [...new Set([...Object.keys(value), ...Object.keys(now)])];
  const fields = keys
    .filter((key) => !isDeepStrictEqual(value[key], now[key]))
    .map((key) => (value[key] === undefined ? { key } : { key, value: value[key] }));
  const words = wordsOf(now, fieldsOf(client)) ?? [];
  return {
    ...change,
    now,
    undo: { original: before, length: after.length, hash: hashOf(after), fields, words },
  };
}

/** How much of their ends two texts have in common. */
function commonEnd(one: string, other: string): number {
  const most = Math.min(one.length, other.length);
  let length = 0;
  while (length < most && one.at(-1 - length) === other.at(-1 - length)) length += 1;
  return length;
}

/** A copy of a document without what is at some paths. */
function without(document: unknown, paths: readonly Path[]): unknown {
  const copy: unknown = structuredClone(document);
  for (const path of paths) {
    const above = valueAt(copy, path.slice(0, -1));
    const last = path.at(-1);
    if (last !== undefined && typeof above === "object" && above !== null)
      (above as Record<PropertyKey, unknown>)[last] = null;
  }
  return copy;
}
