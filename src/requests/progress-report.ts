import type { Progress } from "../upstream/sessions/session.ts";

/** How far news of ours move on from the server's last value: less than any server's own step. */
const STEP = 1e-6;
/** The same for large values, as a part of them. */
const PART = 2 ** -30;

/**
 * The progress of one request under its client's token: the server's own, unchanged, and between that news of ours. Each value is greater
 * than the one before it (2025-11-25, Progress §Progress Flow), and ours are so close to the server's last that its next one is greater, too.
 * Before the server's first value, which may be 0, ours are below 0.
 */
export class ProgressReport {
  readonly #tell: (progress: Progress) => void;
  #said: number | undefined;
  #last = Number.NEGATIVE_INFINITY;
  #news = 0;

  constructor(tell: (progress: Progress) => void) {
    this.#tell = tell;
  }

  /** Passes the server's progress on. */
  pass(progress: Progress): void {
    this.note(progress);
    this.#tell(progress);
  }

  /** Notes progress of the server's that has reached the client in another way. */
  note({ progress }: Progress): void {
    this.#said = progress;
    this.#last = Math.max(this.#last, progress);
    this.#news = 0;
  }

  /** Tells something that the server did not. */
  say(message: string): void {
    this.#news += 1;
    const progress = this.#next();
    // A value so large has no room for more beside it.
    if (!(progress > this.#last && Number.isFinite(progress))) return;
    this.#last = progress;
    this.#tell({ progress, message });
  }

  #next(): number {
    if (this.#said === undefined) return -STEP / this.#news;
    return this.#said + Math.max(STEP, Math.abs(this.#said) * PART) * (1 - 1 / (this.#news + 1));
  }
}
