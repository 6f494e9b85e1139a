import { stripVTControlCharacters } from "node:util";
import type { Logger } from "pino";
import { LineSplitter } from "./lines.ts";
import { masked } from "./masked.ts";

const MAX_LINE_BYTES = 4_096;
const MAX_LINES_A_SECOND = 100;
const MAX_LAST_WORDS = 200;

/** How many lines to report about a server that exited: enough for the place and the reason. */
const MAX_LAST_LINES = 5;

/**
 * Logs a server's stderr line by line, at `debug` only: stderr says nothing about severity (2025-11-25, Transports §stdio), and many servers
 * write every request there. In a flood it logs the first lines of each second, and counts the others.
 */
export class StderrLog {
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #secrets: readonly string[];
  readonly #lines = new LineSplitter(MAX_LINE_BYTES);
  #second = { since: Number.NEGATIVE_INFINITY, lines: 0 };
  #leftOut = 0;
  #lastLines: string[] = [];

  /**
   * @param secrets values to mask, which the server was given in confidence
   * @param now in milliseconds; only differences count
   */
  constructor(log: Logger, secrets: readonly string[], now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
    this.#secrets = secrets;
  }

  /** The last line that may say why the server exited, without colours and short enough to pass on. */
  get lastWords(): string | undefined {
    return this.#lastLines.at(-1);
  }

  /** The last such lines, in their order. */
  get lastLines(): readonly string[] {
    return this.#lastLines;
  }

  take(chunk: Buffer): void {
    for (const { bytes, isCut } of this.#lines.push(chunk)) this.#say(bytes, isCut);
  }

  /** Call this when nothing more will come. */
  end(): void {
    for (const { bytes, isCut } of this.#lines.rest()) this.#say(bytes, isCut);
    this.#admitGap();
  }

  #say(bytes: Buffer, isCut: boolean): void {
    const text = masked(stripVTControlCharacters(bytes.toString("utf8")).trimEnd(), this.#secrets);
    if (text === "") return;
    if (isTelling(text))
      this.#lastLines = [...this.#lastLines, text.slice(0, MAX_LAST_WORDS)].slice(-MAX_LAST_LINES);
    if (!this.#hasRoom()) {
      this.#leftOut += 1;
      return;
    }
    this.#admitGap();
    this.#log.debug({ stderr: isCut ? `${text}…` : text }, "the server says");
  }

  #hasRoom(): boolean {
    const now = this.#now();
    if (now - this.#second.since >= 1_000) this.#second = { since: now, lines: 0 };
    this.#second.lines += 1;
    return this.#second.lines <= MAX_LINES_A_SECOND;
  }

  #admitGap(): void {
    if (this.#leftOut === 0) return;
    this.#log.debug({ lines: this.#leftOut }, "left out lines of the server's standard error");
    this.#leftOut = 0;
  }
}

/** Whether the line may say why: not a stack frame, a bracket, or what Node prints after everything else. */
function isTelling(text: string): boolean {
  return /^\S/.test(text) && /\p{L}/u.test(text) && !text.startsWith("Node.js v");
}
