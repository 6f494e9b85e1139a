import type { Path } from "../../config/problems.ts";

/** Where a field stands in the text, with its name, and where its value does. Offsets; the ends are exclusive. */
export interface Field {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

/** Where a mapping and its fields stand in a text. */
export interface Mapping {
  /** `lines`: one field a line, as in YAML blocks and TOML tables. `commas`: between braces. */
  readonly style: "lines" | "commas";
  /** Everything that an edit of the fields can touch. */
  readonly start: number;
  readonly end: number;
  readonly fields: readonly Field[];
  /** The end of the last field, or of the brace or header before it: a new field goes there. */
  readonly last: number;
}

/** A text that has been read. */
export interface Parsed {
  readonly value: unknown;
  /** `undefined` when the mapping is written in a way that cannot be edited, such as an alias. */
  mappingAt(path: Path): Mapping | undefined;
}

/** One way to write configuration. */
export interface Format {
  /** @throws Unreadable */
  parse(text: string): Parsed;
  field(key: string, value: unknown): string;
  value(value: unknown): string;
}

/** The text is not of its format. Quotes nothing of it, which may be a secret. */
export class Unreadable extends Error {}

/** New values of a mapping's fields by name; `undefined` removes a field. */
export type Changes = readonly (readonly [key: string, value: unknown])[];

/** The text with some fields of one mapping changed, and everything else byte for byte as it was. */
export function edited(text: string, format: Format, path: Path, changes: Changes): string {
  return changes.reduce((before, [key, value]) => {
    const mapping = format.parse(before).mappingAt(path);
    if (mapping === undefined) throw new Error("the entry cannot be edited");
    const field = mapping.fields.find((each) => each.key === key);
    if (value === undefined) return field === undefined ? before : withoutField(before, mapping, field);
    if (field === undefined) return withField(before, mapping, format.field(key, value));
    // A table of TOML below the entry's own has no value in one place.
    const isTable = field.valueStart === field.start;
    if (isTable) return edited(withoutField(before, mapping, field), format, path, [[key, value]]);
    const isEmpty = field.valueStart === field.valueEnd;
    const written = `${isEmpty ? " " : ""}${format.value(value)}`;
    return splice(before, field.valueStart, field.valueEnd, written);
  }, text);
}

export function splice(text: string, start: number, end: number, inserted: string): string {
  return text.slice(0, start) + inserted + text.slice(end);
}

function withField(text: string, { style, start, fields, last }: Mapping, written: string): string {
  const [first] = fields;
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const indent = first === undefined ? "" : " ".repeat(first.start - lineStart(text, first.start));
  // Tabs stay tabs, and what opens a list item becomes blanks.
  const margin = /^\s+$/.test(lead(text, first?.start ?? 0)) ? lead(text, first?.start ?? 0) : indent;
  if (style === "lines") {
    const at = lineEnd(text, last);
    return splice(text, at, at, `${eol}${margin}${written}`);
  }
  const isOnOneLine = first === undefined || !text.slice(start, first.start).includes("\n");
  const gap = isOnOneLine ? " " : `${eol}${margin}`;
  return splice(text, last, last, first === undefined ? written : `,${gap}${written}`);
}

function withoutField(text: string, { style, fields }: Mapping, field: Field): string {
  const index = fields.indexOf(field);
  const [before, after] = [fields[index - 1], fields[index + 1]];
  if (style === "lines") {
    const isAlone = lead(text, field.start).trim() === "";
    const isTable = field.valueStart === field.start;
    const from = isTable ? text.slice(0, field.start).trimEnd().length : field.start;
    if (isAlone)
      return splice(
        text,
        isTable ? nextLine(text, from) : lineStart(text, from),
        nextLine(text, field.end),
        "",
      );
    return splice(text, field.start, after?.start ?? field.end, "");
  }
  if (before !== undefined) return splice(text, before.end, field.end, "");
  return splice(text, field.start, after?.start ?? field.end, "");
}

/** What stands before an offset on its line. */
function lead(text: string, offset: number): string {
  return text.slice(lineStart(text, offset), offset);
}

export function lineStart(text: string, offset: number): number {
  return text.lastIndexOf("\n", offset - 1) + 1;
}

/** Where the next line begins, or the text ends. */
export function nextLine(text: string, offset: number): number {
  const end = text.indexOf("\n", offset);
  return end === -1 ? text.length : end + 1;
}

/** Where the line ends, before its line break. */
function lineEnd(text: string, offset: number): number {
  const next = nextLine(text, offset);
  if (text[next - 1] !== "\n") return next;
  return text[next - 2] === "\r" ? next - 2 : next - 1;
}
