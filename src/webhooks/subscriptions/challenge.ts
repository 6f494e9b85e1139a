import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { Recent } from "../../lib/recent.ts";
import { Bucket } from "../../limits/bucket.ts";
import type { CallbackFault, EventsErrors } from "../../protocol/events.ts";
import { isObject, parseJson } from "../../protocol/jsonrpc.ts";
import { ask, type PostOptions } from "../post.ts";

/** A challenge is a request to a host that has not agreed to anything yet. */
const PER_HOST = { count: 20, perMs: 60_000 } as const;
const PER_CALLER = { count: 60, perMs: 60_000 } as const;
const MAX_AT_ONCE = 32;
const REMEMBERED = 4_096;

/** How many challenges are sent, to one host, for one caller, and at one time; and how many subscriptions a caller begins. */
export class ChallengeLimits {
  readonly #hosts = new Recent<string, Bucket>(REMEMBERED);
  readonly #beginners = new Recent<string, Bucket>(REMEMBERED);
  readonly #callers = new Recent<string, Bucket>(REMEMBERED);
  readonly #errors: EventsErrors;
  readonly #now: () => number;
  #underWay = 0;

  /** @param now whole milliseconds that never go back */
  constructor(errors: EventsErrors, now: () => number = () => Math.floor(performance.now())) {
    this.#errors = errors;
    this.#now = now;
  }

  /** Each leaves something in the store for a while, also when its client ends it at once. @throws RpcError when there are too many */
  takeNew(caller: string): void {
    this.#take(this.#beginners, caller, PER_CALLER, "new subscriptions of a caller in a minute");
  }

  /** @throws RpcError when there are too many */
  async within<T>(host: string, caller: string, work: () => Promise<T>): Promise<T> {
    if (this.#underWay >= MAX_AT_ONCE) throw this.#errors.exhausted("challenges at one time", MAX_AT_ONCE);
    this.#take(this.#callers, caller, PER_CALLER, "challenges for a caller in a minute");
    this.#take(this.#hosts, host, PER_HOST, "challenges to a host in a minute");
    this.#underWay += 1;
    try {
      return await work();
    } finally {
      this.#underWay -= 1;
    }
  }

  #take(
    buckets: Recent<string, Bucket>,
    key: string,
    rate: typeof PER_HOST | typeof PER_CALLER,
    limit: string,
  ): void {
    const now = this.#now();
    const bucket = buckets.get(key) ?? new Bucket(rate, now);
    buckets.set(key, bucket);
    if (bucket.delayMs(1, now) > 0) throw this.#errors.exhausted(limit, rate.count);
    bucket.take(1, now);
  }
}

/**
 * Asks a receiver whether it wants to be told: it must give a text back that only it was sent. `undefined`: it does; else why not. Never
 * rejects.
 */
export async function challenge(options: PostOptions): Promise<CallbackFault | undefined> {
  const text = randomBytes(32).toString("base64url");
  const id = `msg_verification_${randomBytes(16).toString("base64url")}`;
  const answer = await ask({ id, body: JSON.stringify({ type: "verification", challenge: text }) }, options);
  switch (answer.kind) {
    case "unreachable":
      return answer.failure;
    case "refused":
      if (answer.status >= 500) return "http_5xx";
      return answer.status >= 400 ? "http_4xx" : "challenge_failed";
    case "answered": {
      const given = parseJson(answer.text);
      return isObject(given) && isSame(given.challenge, text) ? undefined : "challenge_failed";
    }
  }
}

/** Takes as long for any text. */
function isSame(given: unknown, expected: string): boolean {
  if (typeof given !== "string") return false;
  const [one, other] = [given, expected].map((text) => createHash("sha256").update(text).digest());
  return one !== undefined && other !== undefined && timingSafeEqual(one, other);
}
