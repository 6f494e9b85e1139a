/** The table of docs/operations.md: a row for each step, a column for each proxy. */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const PAGE = join(import.meta.dirname, "../../docs/operations.md");
/** What the table stands between. */
export const MARKS = ["<!-- npm run proxies -->", "<!-- end of npm run proxies -->"] as const;

/** What happened behind a proxy, by the names of the rows. */
export interface Column {
  /** The proxy, with its version. */
  readonly title: string;
  readonly cells: ReadonlyMap<string, string>;
}

/** What was not run has an empty cell. */
export function table(rows: readonly string[], columns: readonly Column[]): string {
  return [
    ["", ...columns.map(({ title }) => title)],
    ["---", ...columns.map(() => "---")],
    ...rows.map((row) => [row, ...columns.map(({ cells }) => cells.get(row) ?? "")]),
  ]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`)
    .join("\n");
}

/** Puts it into the page, in the place of the one before. */
export async function keep(facts: string, rows: string): Promise<void> {
  const page = await readFile(PAGE, "utf8");
  const [begin, end] = MARKS.map((mark) => page.indexOf(mark)) as [number, number];
  if (begin < 0 || end < begin) throw new Error(`docs/operations.md: expected ${MARKS.join(" … ")}`);
  const before = page.slice(0, begin + MARKS[0].length);
  await writeFile(PAGE, `${before}\n\n${facts}\n\n${rows}\n\n${page.slice(end)}`);
}
