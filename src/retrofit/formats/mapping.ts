import type { Path } from "../../config/problems.ts";

/** Where a field stands in the text, with its name, and where its value does. Offsets; the ends are exclusive. */
export interface Field {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  /** A table of TOML below its mapping's own has its value around it, and starts with it. */
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
  /** Behind the brace or header before the fields. */
  readonly open: number;
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

/** A text, and one mapping in it. */
interface Edit {
  readonly text: string;
  readonly mapping: Mapping;
}

/** The text with some fields of one mapping changed, and everything else byte for byte as it was. Reads the text only around them. */
export function edited(text: string, format: Format, mapping: Mapping, changes: Changes): string {
  return changes.reduce<Edit>((edit, [key, value]) => changed(edit, format, key, value), { text, mapping })
    .text;
}

export function splice(text: string, start: number, end: number, inserted: string): string {
  return text.slice(0, start) + inserted + text.slice(end);
}

function changed(edit: Edit, format: Format, key: string, value: unknown): Edit {
  const field = edit.mapping.fields.find((each) => each.key === key);
  if (field === undefined) return value === undefined ? edit : withField(edit, format, key, value);
  if (value === undefined) return withoutField(edit, field);
  const hasPlace = !isTable(field) && field.valueStart < field.valueEnd;
  if (!hasPlace) return withField(withoutField(edit, field), format, key, value);
  return spliced(edit, field.valueStart, field.valueEnd, format.value(value));
}

function withField(edit: Edit, format: Format, key: string, value: unknown): Edit {
  const { text, mapping } = edit;
  const { style, start, fields, open } = mapping;
  const [first] = fields;
  const own = fields.filter((field) => !isTable(field));
  const last = own.at(-1)?.end ?? open;
  const at = style === "lines" ? lineEnd(text, last) : last;
  // Tabs stay tabs, and what opens a list item becomes blanks.
  const margin = first === undefined ? "" : lead(text, first.start).replace(/\S/g, " ");
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const isOnOneLine = first === undefined || !text.slice(start, first.start).includes("\n");
  const gap = style === "commas" && isOnOneLine ? " " : `${eol}${margin}`;
  const before = style === "lines" ? gap : first === undefined ? "" : `,${gap}`;
  const written = format.field(key, value);
  const after = spliced(edit, at, at, before + written);
  const [begin, end] = [at + before.length, at + before.length + written.length];
  const field = { key, start: begin, end, valueStart: end - format.value(value).length, valueEnd: end };
  const [above, below] = [after.mapping.fields.slice(0, own.length), after.mapping.fields.slice(own.length)];
  return { ...after, mapping: { ...after.mapping, fields: [...above, field, ...below] } };
}

function withoutField(edit: Edit, field: Field): Edit {
  const { text, mapping } = edit;
  const index = mapping.fields.indexOf(field);
  const [before, after] = [mapping.fields[index - 1], mapping.fields[index + 1]];
  const fields = mapping.fields.filter((each) => each !== field);
  const rest = { text, mapping: { ...mapping, fields } };
  // With a table goes the blank line before it.
  if (isTable(field))
    return spliced(rest, nextLine(text, wordEnd(text, field.start)), nextLine(text, field.end), "");
  if (mapping.style === "lines" && lead(text, field.start).trim() === "")
    return spliced(rest, lineStart(text, field.start), nextLine(text, field.end), "");
  if (mapping.style === "commas" && before !== undefined) return spliced(rest, before.end, field.end, "");
  return spliced(rest, field.start, after?.start ?? field.end, "");
}

function isTable({ start, valueStart }: Field): boolean {
  return start === valueStart;
}

/** The text with a part replaced, and the places behind it moved. */
function spliced({ text, mapping }: Edit, start: number, end: number, inserted: string): Edit {
  const move = (offset: number) =>
    offset >= end && offset > start ? offset + inserted.length - (end - start) : offset;
  const fields = mapping.fields.map((field) => ({
    key: field.key,
    start: move(field.start),
    end: move(field.end),
    valueStart: move(field.valueStart),
    valueEnd: move(field.valueEnd),
  }));
  return {
    text: splice(text, start, end, inserted),
    mapping: { ...mapping, end: move(mapping.end), fields },
  };
}

/** Where the last word before an offset ends. */
function wordEnd(text: string, offset: number): number {
  let end = offset;
  while (end > 0 && /\s/.test(text[end - 1] ?? "")) end -= 1;
  return end;
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
