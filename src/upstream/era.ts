import { setTimeout as sleep } from "node:timers/promises";
import { Recent } from "../lib/recent.ts";
import { within } from "../lib/within.ts";
import { type UpstreamFailure, wantsLogin } from "./failure.ts";
import type { Verdict } from "./modern/probe.ts";

type Headers = Readonly<Record<string, string>>;

export interface EraOptions {
  /** Asks the server; never rejects. */
  readonly probe: (headers: Headers) => Promise<Verdict>;
  /** Milliseconds since any point in time. */
  readonly clock?: () => number;
}

/** A server may be replaced by another: its era is probed again after this long. */
const MAX_AGE_MS = 300_000;
/** The shortest time between two probes of a server that cannot be reached, or whose era is in doubt. */
const MIN_AGE_MS = 1_000;
/** How long other requests wait for a recheck. */
const DOUBT_MS = 500;
/** How long clients wait for a server that cannot be reached when it is first asked, and how often it is asked then. Hosts wait for 5 s. */
const STARTING_MS = 3_000;
const STARTING_ASK_MS = 250;
/** What is answered in place of a server that is not there. */
const ABSENT: ReadonlySet<number> = new Set([502, 503, 504]);
/** For how many callers a verdict is remembered. */
const MAX_CALLERS = 1_000;
/** How long a server that wanted a login of a caller is taken to want it still, and for how many callers that is remembered. */
const WANTS_LOGIN_MS = 5_000;
const MAX_REFUSED = 1_000;

interface Found {
  readonly verdict: Verdict;
  readonly at: number;
}

/** What callers with the same headers have learned of the server. */
interface Told {
  readonly known?: Found | undefined;
  /** The last probe that found out nothing. */
  readonly failed?: Found | undefined;
}

/**
 * Finds out which era a server is of (2026-07-28, Versioning §Backward Compatibility). One modern answer proves the era for every caller.
 * Any other answer may be due to the asking caller's credential, so it is remembered for that caller alone. An old verdict stays in use
 * while the server is probed again.
 */
export class Era {
  readonly #options: Required<EraOptions>;
  #proof: Found | undefined;
  /** By the callers' headers, the most recent verdict last. */
  readonly #told = new Map<string, Told>();
  /** By the callers' headers, apart from the verdicts: however many credentials clients make up, they displace none. */
  readonly #refused = new Recent<string, Found>(MAX_REFUSED);
  readonly #probes = new Map<string, Promise<Verdict>>();
  /** Until when the server may still be starting. Absent: every probe so far has found one. */
  #startsUntil: number | undefined;
  /** Pending while the server is probed again after an answer that did not fit its era. */
  #doubt: Promise<void> | undefined;

  constructor({ probe, clock = () => performance.now() }: EraOptions) {
    this.#options = { probe, clock };
  }

  /** The verdict: at once when there is one, otherwise after a probe. @param headers the asking caller's */
  verdict(headers: Headers): Verdict | Promise<Verdict> {
    return this.#doubt === undefined
      ? this.#verdict(headers)
      : this.#doubt.then(() => this.#verdict(headers));
  }

  /** Why the server does not want to be asked anything with these headers: it has answered the probe with 401 a moment ago. */
  refusal(headers: Headers): UpstreamFailure | undefined {
    const verdict = this.#refusal(keyOf(headers));
    return verdict?.era === "unknown" ? verdict.failure : undefined;
  }

  /** The verdict that holds for every caller, without a probe. */
  get known(): Verdict | undefined {
    return this.#proof?.verdict;
  }

  /**
   * Call this when the server answered as no modern server does: until it has been probed again, new requests wait for at most `DOUBT_MS`.
   */
  doubt(headers: Headers): void {
    const isLookedAt = this.#doubt !== undefined || this.#probes.has(keyOf(headers));
    if (isLookedAt || this.#proof === undefined || this.#age(this.#proof) <= MIN_AGE_MS) return;
    this.#doubt = within(DOUBT_MS, this.#probe(headers)).finally(() => {
      this.#doubt = undefined;
    });
  }

  /**
   * While the server may still be starting: settles when it is there, or is taken to be down. `undefined`: there is nothing to wait for.
   * Whoever turned clients away meanwhile would make some of them speak an older revision, and others give up.
   */
  starting(headers: Headers): Promise<void> | undefined {
    return this.#isStarting(headers) ? this.#started(headers) : undefined;
  }

  /** Call this when a server of an older revision has refused a session: what looked like its answer to the probe may have been another's. */
  disprove(headers: Headers): void {
    const key = keyOf(headers);
    const { known } = this.#told.get(key) ?? {};
    if (known !== undefined && this.#age(known) > MIN_AGE_MS) this.#told.delete(key);
  }

  async #started(headers: Headers): Promise<void> {
    while (this.#isStarting(headers)) {
      await sleep(STARTING_ASK_MS, undefined, { ref: false });
      await this.#probe(headers);
    }
  }

  #isStarting(headers: Headers): boolean {
    if (this.#startsUntil === undefined || this.#options.clock() >= this.#startsUntil) return false;
    const key = keyOf(headers);
    const { known = this.#proof, failed } = this.#told.get(key) ?? {};
    const isSilent = failed !== undefined && !isAbsent(failed.verdict);
    return known === undefined && !isSilent && this.#refusal(key) === undefined;
  }

  #verdict(headers: Headers): Verdict | Promise<Verdict> {
    const { known = this.#proof, failed } = this.#told.get(keyOf(headers)) ?? {};
    const mayAsk = failed === undefined || this.#age(failed) > MIN_AGE_MS;
    if (known !== undefined) {
      if (mayAsk && this.#age(known) > MAX_AGE_MS) void this.#probe(headers);
      return known.verdict;
    }
    if (!mayAsk) return failed.verdict;
    const refusal = this.#refusal(keyOf(headers));
    if (refusal !== undefined) return refusal;
    const probe = this.#probe(headers);
    // A server whose probe timed out once may do so again, and most such servers are legacy ones: do not wait for this probe.
    return failed?.verdict.era === "unknown" && failed.verdict.isLate ? failed.verdict : probe;
  }

  /** Probes the server, once for all that ask at the same time with the same headers. Resolves with what is then known. */
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
      // The server may have been replaced for every caller: the next caller's probe finds out.
      this.#proof = undefined;
      this.#remember(key, { known: found });
      return verdict;
    }
    const { failure } = verdict;
    if (failure.facts.status === 401) this.#refused.set(key, found);
    // With 403 it may refuse the probe alone, and some other caller not even that.
    else if (!wantsLogin(failure)) this.#remember(key, { known: this.#told.get(key)?.known, failed: found });
    if (isAbsent(verdict)) this.#startsUntil ??= found.at + STARTING_MS;
    // A server that is unreachable for a moment has not changed its era.
    return known?.verdict ?? verdict;
  }

  #refusal(key: string): Verdict | undefined {
    const found = this.#refused.get(key);
    return found !== undefined && this.#age(found) <= WANTS_LOGIN_MS ? found.verdict : undefined;
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

/** Whether nobody was there to answer. */
function isAbsent(verdict: Verdict): boolean {
  if (verdict.era !== "unknown" || verdict.isLate) return false;
  const { status } = verdict.failure.facts;
  return status === undefined || ABSENT.has(status);
}

/** The key contains credentials: use it in maps, never in logs. */
function keyOf(headers: Headers): string {
  return JSON.stringify(headers);
}
