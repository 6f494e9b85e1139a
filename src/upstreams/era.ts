import type { Verdict } from "./probe.ts";

type Headers = Readonly<Record<string, string>>;

export interface EraOptions {
  /** Asks the server; never rejects. */
  readonly probe: (headers: Headers) => Promise<Verdict>;
  /** Milliseconds since any point in time. */
  readonly clock?: () => number;
}

/** A server may become another one: its era is looked at again after this long. */
const MAX_AGE_MS = 300_000;
/** A server that cannot be reached, or that is doubted, is not asked more often than this. */
const MIN_AGE_MS = 1_000;

type Known = Exclude<Verdict, { era: "unknown" }>;

/**
 * Of which era a server is: a property of the server, and remembered for all who ask (2026-07-28, Versioning §Backward
 * Compatibility). What is old is used while it is looked at again.
 */
export class Era {
  readonly #options: Required<EraOptions>;
  /** What was found out last, if anything ever was. */
  #known: { readonly verdict: Known; readonly at: number } | undefined;
  /** The last time that nothing was found out. */
  #failed: { readonly verdict: Verdict; readonly at: number } | undefined;
  /** By the headers that they are made with: another caller may be let in where one is not. */
  readonly #probes = new Map<string, Promise<Verdict>>();
  /** A probe that everybody waits for, because an answer did not fit what was known. */
  #doubt: Promise<Verdict> | undefined;

  constructor({ probe, clock = () => performance.now() }: EraOptions) {
    this.#options = { probe, clock };
  }

  /** The verdict; at once when there is one. `headers` are those of whoever wants to know. */
  verdict(headers: Headers): Verdict | Promise<Verdict> {
    if (this.#doubt !== undefined) return this.#doubt;
    const age = (then: { readonly at: number }) => this.#options.clock() - then.at;
    if (this.#known !== undefined) {
      const isStale = age(this.#known) > MAX_AGE_MS;
      if (isStale && (this.#failed === undefined || age(this.#failed) > MIN_AGE_MS))
        void this.#probe(headers);
      return this.#known.verdict;
    }
    if (this.#failed === undefined) return this.#probe(headers);
    const { verdict } = this.#failed;
    if (age(this.#failed) <= MIN_AGE_MS) return verdict;
    const probe = this.#probe(headers);
    // Whoever kept us waiting once may do so again, and most servers that do are legacy ones.
    return verdict.era === "unknown" && verdict.isLate ? verdict : probe;
  }

  /** What is known without asking. */
  get known(): Verdict | undefined {
    return this.#known?.verdict;
  }

  /** The server answered as one of its era would not: whoever asks from now on waits until it was looked at again. */
  doubt(headers: Headers): void {
    if (this.#doubt !== undefined || this.#known === undefined) return;
    if (this.#options.clock() - this.#known.at <= MIN_AGE_MS) return;
    this.#doubt = this.#probe(headers).finally(() => {
      this.#doubt = undefined;
    });
  }

  /** Asks the server, once for all who ask at the same time in the same way. Resolves with what is then known. */
  #probe(headers: Headers): Promise<Verdict> {
    const key = JSON.stringify(headers);
    const present = this.#probes.get(key);
    if (present !== undefined) return present;
    const probe = this.#options
      .probe(headers)
      .then((verdict) => this.#learn(verdict))
      .finally(() => this.#probes.delete(key));
    this.#probes.set(key, probe);
    return probe;
  }

  #learn(verdict: Verdict): Verdict {
    const at = this.#options.clock();
    if (verdict.era !== "unknown") {
      this.#known = { verdict, at };
      this.#failed = undefined;
      return verdict;
    }
    // Another caller, or the same with a login, may learn more: nothing is remembered of a refusal.
    if (verdict.failure.facts.status !== 401 && verdict.failure.facts.status !== 403)
      this.#failed = { verdict, at };
    // A server that is away for a moment is not another server.
    return this.#known?.verdict ?? verdict;
  }
}
