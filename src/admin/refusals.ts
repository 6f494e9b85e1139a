import { isoTime } from "../tasks/state.ts";
import type { Observer, RefusalReason } from "../tasks/task-event.ts";

export interface RefusalsOptions {
  readonly nameOf: (caller: string) => string;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** Requests of one caller that one server's route refused for the same reason. */
export interface RefusedCaller {
  readonly server: string;
  /** Absent: nobody knows who it was. */
  readonly caller?: string;
  readonly reason: RefusalReason;
  /** As the configuration names it. */
  readonly limit?: string;
  readonly count: number;
  readonly firstAt: string;
  readonly lastAt: string;
}

interface Entry {
  readonly server: string;
  readonly caller: string | undefined;
  readonly reason: RefusalReason;
  readonly limit: string | undefined;
  readonly firstAt: number;
  count: number;
  lastAt: number;
}

/** So many of them are enough to find out what is going on. */
const MAX_KEPT = 200;
const KEPT_MS = 3_600_000;

/** Who was refused in the last hour at this gateway, and by which limit. */
export class Refusals {
  readonly #options: RefusalsOptions;
  /** Those refused last come last. */
  readonly #entries = new Map<string, Entry>();

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  readonly observe: Observer = (event) => {
    if (event.kind !== "refused") return;
    const { route: server, caller, reason, limit } = event;
    const at = this.#options.clock();
    const key = JSON.stringify([server, caller, reason, limit]);
    const known = this.#entries.get(key);
    this.#entries.delete(key);
    const isRecent = known !== undefined && at - known.lastAt < KEPT_MS;
    const entry = isRecent ? known : { server, caller, reason, limit, firstAt: at, count: 0, lastAt: at };
    entry.count += 1;
    entry.lastAt = at;
    this.#entries.set(key, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_KEPT && oldest !== undefined) this.#entries.delete(oldest);
  };

  /** Those refused last first. */
  recent(): readonly RefusedCaller[] {
    const { nameOf, clock } = this.#options;
    const now = clock();
    const recent = [...this.#entries.values()].filter(({ lastAt }) => now - lastAt < KEPT_MS);
    return recent.reverse().map(({ caller, limit, firstAt, lastAt, ...entry }) => ({
      ...entry,
      ...(caller === undefined ? {} : { caller: nameOf(caller) }),
      ...(limit === undefined ? {} : { limit }),
      firstAt: isoTime(firstAt),
      lastAt: isoTime(lastAt),
    }));
  }
}
