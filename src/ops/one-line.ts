/** A line that stays one, and does nothing to a terminal, whatever a server has put into it. */
export function oneLine(line: string): string {
  return line.replace(/\p{Cc}+/gu, " ");
}

/** The beginning of a text that is longer than this, with a mark where it was cut; any other text as it is. */
export function shortened(text: string, maxChars: number): string {
  return text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
}

/** Escaped, they do nothing to a terminal, hide nothing from a reader, and are still there to be seen. */
const UNSEEN = /[\p{Cc}\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/**
 * A text that a stranger chose, as a log may repeat it: of `maxChars` characters at most and what is left out counted, with control
 * characters and those that turn or hide text written as `\u009b`.
 */
export function loggable(text: string, maxChars: number): string {
  const shown = text.slice(0, maxChars).replace(UNSEEN, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return text.length <= maxChars ? shown : `${shown}… (${text.length} characters)`;
}

/** The texts of a log line, as `loggable` has them. */
export function loggableDetails(details: object, maxChars: number): Record<string, unknown> {
  const entries = Object.entries(details).map(([name, value]) => [name, told(value, maxChars)]);
  return Object.fromEntries(entries);
}

function told(value: unknown, maxChars: number): unknown {
  if (typeof value === "string") return loggable(value, maxChars);
  return Array.isArray(value) ? value.map((item) => told(item, maxChars)) : value;
}
