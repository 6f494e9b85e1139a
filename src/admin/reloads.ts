import { steadyNow } from "../lib/clock.ts";
import { isoTime } from "../tasks/state.ts";

/** What became of an attempt to take over the configuration file as it is now. */
export type Reload = Applied | Unchanged | Refused;

/** Servers by their names. */
export interface Applied {
  readonly outcome: "applied";
  readonly added: readonly string[];
  /** They drain. */
  readonly removed: readonly string[];
  /** They drain, and others have taken their places. */
  readonly replaced: readonly string[];
  /** The rules for their tools are different. */
  readonly ruled: readonly string[];
  /** The limits that are different, as the file names them. */
  readonly limits: readonly string[];
  /** Settings that are different and that only a restart applies. */
  readonly restart: readonly string[];
}

/** There is nothing new in it, but for what only a restart applies. */
export interface Unchanged {
  readonly outcome: "unchanged";
  readonly restart: readonly string[];
}

/** It has errors: the configuration stays as it was. */
export interface Refused {
  readonly outcome: "refused";
  /** Each with its setting and its line. */
  readonly problems: readonly string[];
}

/** The attempts so far. */
export class Reloads {
  readonly counts: Record<Reload["outcome"], number> = { applied: 0, unchanged: 0, refused: 0 };
  #last: { readonly at: number; readonly reload: Reload } | undefined;

  /** Whether the configuration that was read last is in force; also at the start. */
  get isGood(): boolean {
    return this.#last?.reload.outcome !== "refused";
  }

  note(reload: Reload): void {
    this.counts[reload.outcome] += 1;
    this.#last = { at: steadyNow(), reload };
  }

  /** The last attempt, for operators. */
  shown(): { readonly lastReload?: object } {
    if (this.#last === undefined) return {};
    const { at, reload } = this.#last;
    return { lastReload: { at: isoTime(at), ...reload } };
  }
}
