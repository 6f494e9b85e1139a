import { createHmac } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Recent } from "../../lib/recent.ts";
import { type RpcError, rpc } from "../../protocol/errors.ts";
import type { Caller, Route } from "../../requests/request.ts";
import { toFailure, wantsLogin } from "../../upstream/failure.ts";
import { readToken, type Token } from "./bearer-token.ts";
import { anonymous, forwardedHeaders, type Identify } from "./identify.ts";
import { TokenSubjects, type TokenSubjectsOptions } from "./token-subjects.ts";

export interface AuthorizationOptions extends Omit<TokenSubjectsOptions, "clock"> {
  /** The key of the hash of credentials; the same for all gateways on a store. */
  readonly secret: Buffer;
  /** Whether a request without a credential has no tasks; otherwise its caller is anonymous. */
  readonly isRequired: boolean;
  /** Milliseconds since the epoch. */
  readonly clock?: () => number;
}

/** How long the gateway believes the server's judgement of a credential. */
const BELIEVED_MS = { accepted: 300_000, refused: 5_000, unanswered: 1_000 } as const;
/** How long an acceptance counts while the server gives no answer: the caller itself may keep it from answering. */
const STANDS_MS = 3_600_000;
const MAX_KNOWN = { accepted: 10_000, refused: 1_000 } as const;
/**
 * How many credentials the gateway asks servers about at one time, since clients can make up any number. It still asks about those that the
 * server has taken before.
 */
const MAX_CHECKS = { unknown: 192, all: 256 } as const;

/** The server's judgement of a credential. */
interface Finding {
  readonly key: string;
  /** Present when the server refused the credential, or nothing could be found out. */
  readonly refusal?: RpcError;
  /** In milliseconds since the epoch. */
  readonly believedUntil: number;
  /** Until when it counts if nothing more can be found out. */
  readonly standsUntil: number;
}

/**
 * Tells callers apart by the credential that they send. The gateway passes it on: the server judges it, and it counts once the server has
 * opened a session with it. That the server takes a token does not show that it believes the token's claims: so issuer and subject name
 * the caller only if the gateway has verified the token as well, with the keys of an issuer that the server's own metadata or the operator
 * name. Then a refreshed token finds the tasks of the one before. Otherwise the caller is the credential itself, as a keyed hash.
 */
export function byAuthorization(options: AuthorizationOptions): Identify {
  const credentials = new Credentials(options);
  return (request, route) => credentials.callerOf(request, route);
}

class Credentials {
  readonly #secret: Buffer;
  readonly #isRequired: boolean;
  readonly #clock: () => number;
  readonly #subjects: TokenSubjects;
  /** By route and credential. Refused ones are apart: however many clients make up, they displace no good one. */
  readonly #accepted = new Recent<string, Finding>(MAX_KNOWN.accepted);
  readonly #refused = new Recent<string, Finding>(MAX_KNOWN.refused);
  readonly #checks = new Map<string, Promise<Finding>>();
  readonly #numbers = new WeakMap<Route, number>();
  #routes = 0;

  constructor({ secret, isRequired, clock = () => Date.now(), ...options }: AuthorizationOptions) {
    this.#secret = secret;
    this.#isRequired = isRequired;
    this.#clock = clock;
    this.#subjects = new TokenSubjects({ ...options, clock });
  }

  callerOf(request: IncomingMessage, route: Route): Caller | Promise<Caller> {
    const { authorization } = request.headers;
    if (authorization === undefined) {
      const caller = anonymous(request, route);
      return this.#isRequired ? { ...caller, key: "nobody", refusal: rpc.credentialMissing() } : caller;
    }
    const { upstream } = route.config;
    const name = createHmac("sha256", this.#secret).update(authorization).digest("base64url");
    const forwarded = forwardedHeaders(request, upstream.forwardHeaders);
    const caller: Caller = { key: `credential:${name}`, isIdentified: true, headers: forwarded };
    // A process gets no headers, and a header of the configuration replaces the client's.
    if (upstream.transport === "stdio" || upstream.headers.authorization !== undefined) return caller;
    const sent = { ...caller, headers: { ...forwarded, authorization } };
    const id = `${this.#numberOf(route)} ${name}`;
    const finding = this.#refused.get(id) ?? this.#accepted.get(id);
    if (finding !== undefined && this.#clock() < finding.believedUntil) return asFound(sent, finding);
    return { ...sent, confirm: async () => asFound(sent, await this.#find(id, sent, route)) };
  }

  /** What one server accepted says nothing of another that has taken its name. */
  #numberOf(route: Route): number {
    const known = this.#numbers.get(route);
    if (known !== undefined) return known;
    this.#routes += 1;
    this.#numbers.set(route, this.#routes);
    return this.#routes;
  }

  /** Asks once for all requests at the same time. */
  #find(id: string, caller: Caller, route: Route): Promise<Finding> {
    const present = this.#checks.get(id);
    if (present !== undefined) return present;
    const before = this.#accepted.get(id);
    if (this.#checks.size >= (before === undefined ? MAX_CHECKS.unknown : MAX_CHECKS.all))
      return Promise.resolve(this.#unanswered(caller, before, "too many are asked"));
    const check = this.#check(caller, route, before).then((finding) => {
      this.#checks.delete(id);
      this.#learn(id, finding);
      return finding;
    });
    this.#checks.set(id, check);
    return check;
  }

  #learn(id: string, finding: Finding): void {
    const isAccepted = finding.refusal === undefined;
    (isAccepted ? this.#refused : this.#accepted).delete(id);
    (isAccepted ? this.#accepted : this.#refused).set(id, finding);
  }

  async #check(caller: Caller, route: Route, before: Finding | undefined): Promise<Finding> {
    const { key, headers } = caller;
    try {
      await route.upstream.accepts(headers);
    } catch (error) {
      const failure = toFailure(error);
      const { message, facts } = failure;
      // (RFC 6750 §3.1.) Any other failure says nothing of the credential.
      if (!wantsLogin(failure)) return this.#unanswered(caller, before, message);
      return { key, refusal: rpc.refused(message, facts), ...this.#for(BELIEVED_MS.refused) };
    }
    const token = readToken(headers.authorization ?? "");
    if (token === undefined) return this.#taken(key);
    const subject = await this.#subjects.find(route, token);
    switch (subject.is) {
      case "verified":
        return this.#taken(subject.key, token);
      case "unverified":
        return this.#taken(key, token, subject.againMs);
      case "unknown":
        return this.#unanswered(caller, before, subject.why);
    }
  }

  #taken(key: string, token?: Token, againMs: number = BELIEVED_MS.accepted): Finding {
    const now = this.#clock();
    const expiresAt = token?.expiresAt ?? Number.POSITIVE_INFINITY;
    // The server's clock may be slow: a token that has expired for the gateway may not have for the server, so ask again soon.
    const lastsMs = Math.max(expiresAt - now, BELIEVED_MS.unanswered);
    return {
      key,
      believedUntil: now + Math.min(lastsMs, againMs),
      standsUntil: Math.min(expiresAt, now + STANDS_MS),
    };
  }

  /** An acceptance from before stands while the server cannot be asked. */
  #unanswered({ key }: Caller, before: Finding | undefined, why: string): Finding {
    const { believedUntil } = this.#for(BELIEVED_MS.refused);
    if (before !== undefined && this.#clock() < before.standsUntil)
      return { ...before, believedUntil: Math.min(believedUntil, before.standsUntil) };
    return { key, refusal: rpc.credentialUnconfirmed(why), ...this.#for(BELIEVED_MS.unanswered) };
  }

  #for(ms: number): Pick<Finding, "believedUntil" | "standsUntil"> {
    const until = this.#clock() + ms;
    return { believedUntil: until, standsUntil: until };
  }
}

function asFound(caller: Caller, { key, refusal }: Finding): Caller {
  return { ...caller, key, refusal };
}
