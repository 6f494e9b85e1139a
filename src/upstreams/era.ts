import { within } from "../ops/within.ts";
import { wantsLogin } from "./failure.ts";
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
/** How long a doubt may keep others waiting. */
const DOUBT_MS = 500;
/** Of how many callers it is remembered what they were told. */
const MAX_CALLERS = 1_000;

interface Found {
  readonly verdict: Verdict;
  readonly at: number;
}

/** What is known of the server by those who ask with the same headers. */
interface Told {
  readonly known?: Found | undefined;
  /** The last time that nothing was found out. */
  readonly failed?: Found | undefined;
}

/**
 * Of which era a server is (2026-07-28, Versioning §Backward Compatibility). That it is modern is proven to everybody at once; that
 * it is not may be due to whoever asked, whose login it did not like, and is remembered for them alone. What is old is used while
 * it is looked at again.
 */
export class Era {
  readonly #options: Required<EraOptions>;
  #proof: Found | undefined;
  /** By the headers that they ask with, the last to be told at the end. */
  readonly #told = new Map<string, Told>();
  readonly #probes = new Map<string, Promise<Verdict>>();
  /** There while an answer that did not fit what was known is being looked into. */
  #doubt: Promise<void> | undefined;

  constructor({ probe, clock = () => performance.now() }: EraOptions) {
    this.#options = { probe, clock };
  }

  /** The verdict; at once when there is one. `headers` are those of whoever wants to know. */
  verdict(headers: Headers): Verdict | Promise<Verdict> {
    return this.#doubt === undefined
      ? this.#verdict(headers)
      : this.#doubt.then(() => this.#verdict(headers));
  }

  /** What is known without asking, to everybody. */
  get known(): Verdict | undefined {
    return this.#proof?.verdict;
  }

  /** The server answered as a modern one would not: whoever asks from now on waits a little until it was looked at again. */
  doubt(headers: Headers): void {
    const isLookedAt = this.#doubt !== undefined || this.#probes.has(keyOf(headers));
    if (isLookedAt || this.#proof === undefined || this.#age(this.#proof) <= MIN_AGE_MS) return;
    this.#doubt = within(DOUBT_MS, this.#probe(headers)).finally(() => {
      this.#doubt = undefined;
    });
  }

  #verdict(headers: Headers): Verdict | Promise<Verdict> {
    const { known = this.#proof, failed } = this.#told.get(keyOf(headers)) ?? {};
    const mayAsk = failed === undefined || this.#age(failed) > MIN_AGE_MS;
    if (known !== undefined) {
      if (mayAsk && this.#age(known) > MAX_AGE_MS) void this.#probe(headers);
      return known.verdict;
    }
    if (!mayAsk) return failed.verdict;
    const probe = this.#probe(headers);
    // Whoever kept us waiting once may do so again, and most servers that do are legacy ones.
    return failed?.verdict.era === "unknown" && failed.verdict.isLate ? failed.verdict : probe;
  }

  /** Asks the server, once for all who ask at the same time in the same way. Resolves with what is then known. */
  #probe(headers: Headers): Promise<Verdict> {
    const key = keyOf(headers);
    const present = this.#probes.get(key);
    if (present !== undefined) return present;
    const probe = this.#options
      .probe(headers)
      .then((verdict) => this.#learn(key, verdict))
      .finally(() => this.#probes.delete(key));
    this.#probes.set(key, probe);
    return probe;
  }

  #learn(key: string, verdict: Verdict): Verdict {
    const found = { verdict, at: this.#options.clock() };
    const { known = this.#proof } = this.#told.get(key) ?? {};
    if (verdict.era === "modern") {
      this.#proof = found;
      this.#told.delete(key);
      return verdict;
    }
    if (verdict.era !== "unknown") {
      // It may have become another server for everybody: the next to ask finds out.
      this.#proof = undefined;
      this.#remember(key, { known: found });
      return verdict;
    }
    // A login that it takes may tell more: nothing is remembered of a refusal.
    if (!wantsLogin(verdict.failure))
      this.#remember(key, { known: this.#told.get(key)?.known, failed: found });
    // A server that is away for a moment is not another server.
    return known?.verdict ?? verdict;
  }

  #remember(key: string, told: Told): void {
    this.#told.delete(key);
    this.#told.set(key, told);
    const [oldest] = this.#told.keys();
    if (this.#told.size > MAX_CALLERS && oldest !== undefined) this.#told.delete(oldest);
  }

  #age({ at }: Found): number {
    return this.#options.clock() - at;
  }
}

/** Credentials are part of it, so it is for maps and never for logs. */
function keyOf(headers: Headers): string {
  return JSON.stringify(headers);
}
