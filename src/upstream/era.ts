import { setTimeout as sleep } from "node:timers/promises";
import { Recent } from "../lib/recent.ts";
import { within } from "../lib/within.ts";
import { isOfAbsent, type UpstreamFailure, wantsLogin } from "./failure.ts";
import type { ProbeResult } from "./modern/probe.ts";

type Headers = Readonly<Record<string, string>>;

export interface EraOptions {
  /** Asks the server; never rejects. */
  readonly probe: (headers: Headers) => Promise<ProbeResult>;
  /** Milliseconds since any point in time. */
  readonly clock?: () => number;
}

/** A server may be replaced by another: its era is probed again after this long. */
const MAX_AGE_MS = 300_000;
/** The shortest time between two probes of a server that cannot be reached, or that answered as one of another era. */
const MIN_AGE_MS = 1_000;
/** How long other requests wait for a recheck. */
const RECHECK_MS = 500;
/** How long clients wait for a server that cannot be reached when it is first asked, and how often it is asked then. Hosts wait for 5 s. */
const STARTING_MS = 3_000;
const STARTING_ASK_MS = 250;
/** For how many callers a result is remembered. */
const MAX_CALLERS = 1_000;
/** How long a server that wanted a login of a caller is taken to want it still, and for how many callers that is remembered. */
const WANTS_LOGIN_MS = 5_000;
const MAX_REFUSED = 1_000;

interface Found {
  readonly result: ProbeResult;
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
 * Any other answer may be due to the asking caller's credential, so it is remembered for that caller alone. An old result stays in use
 * while the server is probed again.
 */
export class Era {
  readonly #options: Required<EraOptions>;
  #proof: Found | undefined;
  /** By the callers' headers, the most recent result last. */
  readonly #told = new Map<string, Told>();
  /** By the callers' headers, apart from the verdicts: however many credentials clients make up, they displace none. */
  readonly #refused = new Recent<string, Found>(MAX_REFUSED);
  readonly #probes = new Map<string, Promise<ProbeResult>>();
  /** Until when the server may still be starting. Absent: every probe so far has found one. */
  #startsUntil: number | undefined;
  /** Pending while the server is probed again after an answer that did not fit its era. */
  #recheck: Promise<void> | undefined;

  constructor({ probe, clock = () => performance.now() }: EraOptions) {
    this.#options = { probe, clock };
  }

  /** The result: at once when there is one, otherwise after a probe. @param headers the asking caller's */
  resultFor(headers: Headers): ProbeResult | Promise<ProbeResult> {
    return this.#recheck === undefined
      ? this.#resultOf(headers)
      : this.#recheck.then(() => this.#resultOf(headers));
  }

  /** Why the server does not want to be asked anything with these headers: it has answered the probe with 401 a moment ago. */
  refusal(headers: Headers): UpstreamFailure | undefined {
    const result = this.#refusal(keyOf(headers));
    return result?.era === "unknown" ? result.failure : undefined;
  }

  /** The result that holds for every caller, without a probe. */
  get known(): ProbeResult | undefined {
    return this.#proof?.result;
  }

  /**
   * Call this when the server answered as no modern server does: until it has been probed again, new requests wait for at most `RECHECK_MS`.
   */
  recheck(headers: Headers): void {
    const isLookedAt = this.#recheck !== undefined || this.#probes.has(keyOf(headers));
    if (isLookedAt || this.#proof === undefined || this.#age(this.#proof) <= MIN_AGE_MS) return;
    this.#recheck = within(RECHECK_MS, this.#probe(headers)).finally(() => {
      this.#recheck = undefined;
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
    const isSilent = failed !== undefined && !isAbsent(failed.result);
    return known === undefined && !isSilent && this.#refusal(key) === undefined;
  }

  #resultOf(headers: Headers): ProbeResult | Promise<ProbeResult> {
    const { known = this.#proof, failed } = this.#told.get(keyOf(headers)) ?? {};
    const mayAsk = failed === undefined || this.#age(failed) > MIN_AGE_MS;
    if (known !== undefined) {
      if (mayAsk && this.#age(known) > MAX_AGE_MS) void this.#probe(headers);
      return known.result;
    }
    if (!mayAsk) return failed.result;
    const refusal = this.#refusal(keyOf(headers));
    if (refusal !== undefined) return refusal;
    const probe = this.#probe(headers);
    // A server whose probe timed out once may do so again, and most such servers are legacy ones: do not wait for this probe.
    return failed?.result.era === "unknown" && failed.result.isLate ? failed.result : probe;
  }

  /** Probes the server, once for all that ask at the same time with the same headers. Resolves with what is then known. */
  #probe(headers: Headers): Promise<ProbeResult> {
    const key = keyOf(headers);
    const present = this.#probes.get(key);
    if (present !== undefined) return present;
    const probe = this.#options
      .probe(headers)
      .then((result) => this.#learn(key, result))
      .finally(() => this.#probes.delete(key));
    this.#probes.set(key, probe);
    return probe;
  }

  #learn(key: string, result: ProbeResult): ProbeResult {
    const found = { result, at: this.#options.clock() };
    const { known = this.#proof } = this.#told.get(key) ?? {};
    if (result.era === "modern") {
      this.#proof = found;
      this.#told.delete(key);
      return result;
    }
    if (result.era !== "unknown") {
      // The server may have been replaced for every caller: the next caller's probe finds out.
      this.#proof = undefined;
      this.#remember(key, { known: found });
      return result;
    }
    const { failure } = result;
    if (failure.facts.status === 401) this.#refused.set(key, found);
    // With 403 it may refuse the probe alone, and some other caller not even that.
    else if (!wantsLogin(failure)) this.#remember(key, { known: this.#told.get(key)?.known, failed: found });
    if (isAbsent(result)) this.#startsUntil ??= found.at + STARTING_MS;
    // A server that is unreachable for a moment has not changed its era.
    return known?.result ?? result;
  }

  #refusal(key: string): ProbeResult | undefined {
    const found = this.#refused.get(key);
    return found !== undefined && this.#age(found) <= WANTS_LOGIN_MS ? found.result : undefined;
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
function isAbsent(result: ProbeResult): boolean {
  if (result.era !== "unknown" || result.isLate) return false;
  const { status } = result.failure.facts;
  return status === undefined || isOfAbsent(status);
}

/** The key contains credentials: use it in maps, never in logs. */
function keyOf(headers: Headers): string {
  return JSON.stringify(headers);
}
