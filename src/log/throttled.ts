import type { Logger } from "pino";

const EVERY_MS = 1_000;

/**
 * A logger for messages that a thousand requests a second may cause: writes each message at most once a second, or as seldom as its caller wants, and its next line says how
 * many it left out since (`leftOut`).
 */
export class ThrottledLog {
  readonly #log: Logger;
  readonly #now: () => number;
  /** By message; messages are constants of the program, so there are few. */
  readonly #said = new Map<string, { readonly at: number; leftOut: number }>();

  /** @param now milliseconds that never go back */
  constructor(log: Logger, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  /** @param message a constant: what varies belongs in the details */
  say(level: "warn" | "error", details: object, message: string, everyMs = EVERY_MS): void {
    const now = this.#now();
    const last = this.#said.get(message);
    if (last !== undefined && now - last.at < everyMs) {
      last.leftOut += 1;
      return;
    }
    this.#said.set(message, { at: now, leftOut: 0 });
    const { leftOut = 0 } = last ?? {};
    this.#log[level](leftOut === 0 ? details : { ...details, leftOut }, message);
  }
}

const THROTTLED = new WeakMap<Logger, ThrottledLog>();

/** The one `SeldomLog` of a logger, so that all its users share the limit. */
export function throttled(log: Logger): ThrottledLog {
  const known = THROTTLED.get(log);
  if (known !== undefined) return known;
  const made = new ThrottledLog(log);
  THROTTLED.set(log, made);
  return made;
}
