import { readable } from "../log/one-line.ts";

/** A longer cell is cut: names of tools may have any length. */
const MAX_CHARS = 60;

/** Rows in columns as wide as they need to be, below their titles. Nothing in a cell does anything to a terminal. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const cells = [titles, ...rows].map((row) => row.map(shown));
  const widths = titles.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  return cells.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function shown(cell: string): string {
  const text = readable(cell).replaceAll("\t", " ");
  return text.length > MAX_CHARS ? `${text.slice(0, MAX_CHARS - 1)}…` : text;
}
