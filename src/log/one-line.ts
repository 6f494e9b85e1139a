/** Replaces control characters by spaces: whatever a server wrote stays one line and does nothing to a terminal. */
export function oneLine(line: string): string {
  return line.replace(/\p{Cc}+/gu, " ");
}

/** Cuts a text after `maxChars` characters and marks the cut; leaves shorter texts as they are. */
export function shortened(text: string, maxChars: number): string {
  return text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
}

/** Control characters and those that turn or hide text. Escaped, they do nothing to a terminal, hide nothing and stay visible. */
const UNSEEN = /[\p{Cc}\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/**
 * A stranger's text, safe for a log: cut after `maxChars` characters, then with its full length, and with the `UNSEEN` characters written
 * as `\u009b`.
 */
export function loggable(text: string, maxChars: number): string {
  const shown = text.slice(0, maxChars).replace(UNSEEN, escaped);
  return text.length <= maxChars ? shown : `${shown}… (${text.length} characters)`;
}

/** A line with parts of a stranger's for a person to read: its tabs stay, and the other `UNSEEN` characters are written out. */
export function readable(line: string): string {
  return line
    .replace(/\r$/, "")
    .replace(UNSEEN, (character) => (character === "\t" ? character : escaped(character)));
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The details of a log line, their texts made safe by `loggable`. */
export function loggableDetails(details: object, maxChars: number): Record<string, unknown> {
  const entries = Object.entries(details).map(([name, value]) => [name, told(value, maxChars)]);
  return Object.fromEntries(entries);
}

function told(value: unknown, maxChars: number): unknown {
  if (typeof value === "string") return loggable(value, maxChars);
  return Array.isArray(value) ? value.map((item) => told(item, maxChars)) : value;
}
