import type { Writable } from "node:stream";
import { oneLine } from "../log/one-line.ts";
import type { CallProgress } from "./task-session.ts";

const BAR = 20;
const MAX_COLUMNS = 80;
/** Of a task there is only the text of its status, which ends with the measure where the server gave one. */
const MEASURE = /(?:^|\()(\d{1,15}(?:\.\d{1,15})?) of (\d{1,15}(?:\.\d{1,15})?)\)?$/;

/** Shows how far a call is: on a terminal in one line that changes, elsewhere in a line for each thing that is said. */
export class ProgressLine {
  readonly #to: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  #shown = "";

  constructor(to: Writable & { readonly isTTY?: boolean; readonly columns?: number }) {
    this.#to = to;
  }

  show(said: CallProgress): void {
    const line = lineOf(said);
    if (line === this.#shown) return;
    if (this.#to.isTTY === true) {
      const columns = Math.min(MAX_COLUMNS, this.#to.columns ?? MAX_COLUMNS);
      this.#to.write(`\r\x1b[2K${line.slice(0, columns - 1)}`);
    } else this.#to.write(`${line}\n`);
    this.#shown = line;
  }

  /** Says something that stays. */
  above(line: string): void {
    this.clear();
    this.#to.write(`${line}\n`);
  }

  clear(): void {
    if (this.#shown !== "" && this.#to.isTTY === true) this.#to.write("\r\x1b[2K");
    this.#shown = "";
  }
}

function lineOf({ message = "", progress, total }: CallProgress): string {
  const text = oneLine(message).trimEnd();
  const [, done, all] = MEASURE.exec(text) ?? [];
  const part = fraction(progress ?? Number(done), total ?? Number(all));
  if (part === undefined) return text === "" && progress !== undefined ? String(progress) : text;
  const filled = Math.round(part * BAR);
  const percent = `${Math.round(part * 100)}`.padStart(3);
  return `[${"#".repeat(filled)}${"-".repeat(BAR - filled)}] ${percent} % ${text}`.trimEnd();
}

function fraction(done: number, all: number): number | undefined {
  const part = done / all;
  return all > 0 && Number.isFinite(part) ? Math.min(1, Math.max(0, part)) : undefined;
}
