import type { Progress } from "../upstream/sessions/session.ts";
import { inWords } from "./fallback.ts";
import { ProgressReport } from "./progress-report.ts";

export interface HeartbeatOptions {
  /** How long the server may be silent. Absent: nobody says anything in its place. */
  readonly everyMs: number | undefined;
  /** Tells the client of progress under its own token. */
  readonly tell: (progress: Progress) => void;
}

/**
 * Progress for a client that waits: the server's own, and while the server is silent the news that the call still runs. Many clients reset
 * their clocks on progress only, never on comments. Nothing here keeps a process alive.
 */
export class Heartbeat {
  readonly #report: ProgressReport;
  readonly #everyMs: number | undefined;
  readonly #begunAt = performance.now();
  #timer: NodeJS.Timeout | undefined;

  constructor({ everyMs, tell }: HeartbeatOptions) {
    this.#everyMs = everyMs;
    this.#report = new ProgressReport(tell);
    this.#wait();
  }

  /** Passes the server's progress on. */
  pass(progress: Progress): void {
    this.#report.pass(progress);
    this.#wait();
  }

  /** Notes progress of the server's that has reached the client in another way. */
  note(progress: Progress): void {
    this.#report.note(progress);
    this.#wait();
  }

  /** Tells something that the server did not. */
  say(message: string): void {
    this.#report.say(message);
    this.#wait();
  }

  /** To be called when the call is answered, or its client has gone. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wait(): void {
    if (this.#everyMs === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.say(`still running, ${inWords(performance.now() - this.#begunAt)}`),
      this.#everyMs,
    ).unref();
  }
}

/** The heartbeat of a request. `undefined`: its client gave no token, under which it could be told anything. */
export function heartbeatFor(
  progressToken: unknown,
  everyMs: number | undefined,
  notify: (message: ProgressNotification) => unknown,
): Heartbeat | undefined {
  if (progressToken === undefined) return undefined;
  const tell = (progress: Progress) => {
    notify({ jsonrpc: "2.0", method: "notifications/progress", params: { progressToken, ...progress } });
  };
  return new Heartbeat({ everyMs, tell });
}

interface ProgressNotification {
  readonly jsonrpc: "2.0";
  readonly method: "notifications/progress";
  readonly params: Progress & { readonly progressToken: unknown };
}
