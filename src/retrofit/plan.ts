import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { type Path, valueAt } from "../config/problems.ts";
import { isObject } from "../protocol/jsonrpc.ts";
import type { Client } from "./clients.ts";
import { type Entry, entriesOf, fieldsOf, wordsOf } from "./entries.ts";
import { FORMATS, type FormatName } from "./formats/formats.ts";
import { edited, splice, Unreadable } from "./formats/mapping.ts";
import { isWrapped, unwrapped, type Wrapping, wrap } from "./wrapped.ts";

/** What it takes to put an entry back. */
export interface Undo {
  readonly path: Path;
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
  readonly now: unknown;
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

/** What is to be done with each entry that is meant. */
type Step = (entry: Entry, text: string, client: Client) => Stepped;
type Stepped = { readonly refusal: string } | { readonly text: string; readonly notices: readonly string[] };

/** The file with the entries that are meant wrapped. @throws Unreadable */
export function planWrap(source: Source, isMeant: (entry: Entry) => boolean, wrapping: Wrapping): Plan {
  const { format } = source;
  return planned(source, isMeant, (entry, text, client) => {
    const wrapped = wrap(entry, client, wrapping);
    if ("refusal" in wrapped) return wrapped;
    const after = edited(text, FORMATS[format], entry.path, wrapped.changes);
    return { text: after, notices: wrapped.notices };
  });
}

/** The file with the entries that are meant as they were. @param undoOf what was kept of an entry when it was wrapped */
export function planUnwrap(
  source: Source,
  isMeant: (entry: Entry) => boolean,
  undoOf: (entry: Entry) => Undo | undefined,
  script: string,
): Plan {
  return planned(source, isMeant, (entry, text, client) => {
    if (!isWrapped(entry, client, script)) return { refusal: "not wrapped" };
    const undo = undoOf(entry);
    const own = unwrapped(entry, client);
    const words = wordsOf(entry.value, fieldsOf(client));
    const isChanged = undo !== undefined && !isDeepStrictEqual(words, undo.words);
    if (undo !== undefined && (own === undefined || !isChanged)) {
      const notices = isChanged
        ? ["Its command was changed since it was wrapped, and is as before that again."]
        : [];
      return { text: restored(text, source.format, { ...undo, path: entry.path }), notices };
    }
    if (own === undefined)
      return {
        refusal:
          "was not wrapped on this machine, and what its entry held is known there only: change it by hand",
      };
    const why = isChanged
      ? "Its command was changed since it was wrapped"
      : "It was not wrapped on this machine";
    const after = edited(text, FORMATS[source.format], entry.path, own);
    return { text: after, notices: [`${why}: what stands behind the dashes is its command again.`] };
  });
}

/** The text with one entry put back: byte for byte while the entry is as it was written, else field by field. */
export function restored(
  text: string,
  format: FormatName,
  { path, original, length, hash, fields }: Undo,
): string {
  const start = FORMATS[format].parse(text).mappingAt(path)?.start ?? 0;
  if (hashOf(text.slice(start, start + length)) === hash)
    return splice(text, start, start + length, original);
  return edited(
    text,
    FORMATS[format],
    path,
    fields.map(({ key, value }) => [key, value]),
  );
}

export function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function planned(source: Source, isMeant: (entry: Entry) => boolean, step: Step): Plan {
  const format = FORMATS[source.format];
  const { client, entries } = entriesOf(format.parse(source.text).value, source.client, source.format);
  const changes: Change[] = [];
  const skipped: Plan["skipped"][number][] = [];
  let { text } = source;
  for (const entry of entries.filter(isMeant)) {
    const { name, path } = entry;
    const place = format.parse(text).mappingAt(path);
    const stepped: Stepped =
      place === undefined
        ? {
            refusal:
              "is written in a way that cannot be edited: with an alias, dotted keys or scattered tables",
          }
        : safely(() => step(entry, text, client));
    if ("refusal" in stepped || place === undefined) {
      skipped.push({ name, reason: "refusal" in stepped ? stepped.refusal : "" });
      continue;
    }
    // Blank lines behind a table that was removed belong to what has changed as well.
    const rest = Math.min(text.length - place.end, commonEnd(text, stepped.text));
    const before = text.slice(place.start, text.length - rest);
    const after = stepped.text.slice(place.start, stepped.text.length - rest);
    const now = valueAt(format.parse(stepped.text).value, path);
    const undo = undoOf(entry, before, after, now, client);
    if (!isSafe(source.format, text, stepped.text, undo)) {
      skipped.push({ name, reason: UNSAFE });
      continue;
    }
    changes.push({ entry, now, notices: stepped.notices, before, after, undo });
    text = stepped.text;
  }
  return { text, client, changes, skipped };
}

const UNSAFE = "is written in a way that cannot be edited safely: change it by hand";

/** An edit of a text that means something else than it seems to, as with anchors, may end in no text of the format. */
function safely(step: () => Stepped): Stepped {
  try {
    return step();
  } catch (error) {
    if (error instanceof Unreadable) return { refusal: UNSAFE };
    throw error;
  }
}

function undoOf(
  { path, value }: Entry,
  before: string,
  after: string,
  changed: unknown,
  client: Client,
): Undo {
  const now = isObject(changed) ? changed : {};
  const keys = [...new Set([...Object.keys(value), ...Object.keys(now)])];
  const fields = keys
    .filter((key) => !isDeepStrictEqual(value[key], now[key]))
    .map((key) => (value[key] === undefined ? { key } : { key, value: value[key] }));
  const words = wordsOf(now, fieldsOf(client)) ?? [];
  return { path, original: before, length: after.length, hash: hashOf(after), fields, words };
}

/** How much of their ends two texts have in common. */
function commonEnd(one: string, other: string): number {
  const most = Math.min(one.length, other.length);
  let length = 0;
  while (length < most && one.at(-1 - length) === other.at(-1 - length)) length += 1;
  return length;
}

/** Whether the new text differs in the one entry only, and gives the old one back. */
function isSafe(format: FormatName, before: string, after: string, undo: Undo): boolean {
  try {
    const rest = (text: string) => without(FORMATS[format].parse(text).value, undo.path);
    return isDeepStrictEqual(rest(before), rest(after)) && restored(after, format, undo) === before;
  } catch {
    return false;
  }
}

/** A copy of a document without what is at a path. */
function without(document: unknown, path: Path): unknown {
  const copy: unknown = structuredClone(document);
  const above = valueAt(copy, path.slice(0, -1));
  const last = path.at(-1);
  if (last !== undefined && typeof above === "object" && above !== null)
    (above as Record<PropertyKey, unknown>)[last] = null;
  return copy;
}
