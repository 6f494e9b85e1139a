import type { Logger } from "pino";
import type { TrustedIssuer } from "../../config/config.ts";
import { throttled } from "../../log/throttled.ts";
import type { Route } from "../../requests/request.ts";
import { subjectKey, type Token } from "./bearer-token.ts";
import { NoSuchDocument } from "./issuer-documents.ts";
import { mayAskFor, readServerMetadata, type ServerMetadata } from "./server-metadata.ts";
import type { VerifyToken } from "./token-verifier.ts";

export interface TokenSubjectsOptions {
  /** An issuer that the operator vouches for, whatever servers say of themselves. */
  readonly trusted?: TrustedIssuer | undefined;
  /** The origin by which clients know the gateway: its addresses are audiences of tokens for the servers behind it. */
  readonly publicUrl?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** What the gateway finds out about a token's subject. */
export type TokenSubject =
  /** The gateway has verified the token: the caller is its subject, by this key. */
  | { readonly is: "verified"; readonly key: string }
  /** Nobody vouches for the subject. To be asked again after `againMs`, or when the caller's credential is. */
  | { readonly is: "unverified"; readonly againMs?: number }
  /** Metadata or keys gave no answer: what was found out before still stands. */
  | { readonly is: "unknown"; readonly why: string };

/** How long to use a server's metadata before reading them again. */
const FRESH_MS = 600_000;
/** How long a server's metadata count after it gives none any more, as while it is being replaced. */
const STANDS_MS = 3_600_000;
/** How long reading all of a server's metadata may take. */
const READ_MS = 5_000;
/**
 * How long callers have to come again because there is no answer. An issuer that is away for a moment costs none of its subjects their
 * tasks; one that this machine cannot reach at all shuts no caller out.
 */
const PATIENCE_MS = 10_000;
/** How often to ask again after that. */
const AGAIN_MS = 30_000;
const CLOCK_TOLERANCE_MS = 30_000;

/** Verifies tokens that servers have accepted, with the keys of the issuer that the server itself, or the operator, names. */
export class TokenSubjects {
  readonly #options: TokenSubjectsOptions;
  readonly #byRoute = new WeakMap<Route, RouteSubjects>();
  #trusted: Promise<VerifyToken> | undefined;

  constructor(options: TokenSubjectsOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async find(route: Route, token: Token): Promise<TokenSubject> {
    const { trusted } = this.#options;
    if (trusted === undefined || trusted.issuer !== token.issuer) return this.#of(route).find(token);
    this.#trusted ??= verifierOf({
      ...trusted,
      clock: this.#options.clock,
      onFailure: failureLog(route.log),
    });
    return subjectBy(await this.#trusted, token, route.log);
  }

  #of(route: Route): RouteSubjects {
    const known = this.#byRoute.get(route);
    if (known !== undefined) return known;
    const made = new RouteSubjects(route, this.#options);
    this.#byRoute.set(route, made);
    return made;
  }
}

/** The issuers of one server. */
class RouteSubjects {
  readonly #route: Route;
  readonly #options: TokenSubjectsOptions;
  #metadata: ServerMetadata | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  /** When the server last named an issuer. */
  #namedAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;
  /** By issuer, for those that the metadata name. */
  #verifiers = new Map<string, Promise<VerifyToken>>();
  /** Since when there has been no answer. */
  #silentSince: number | undefined;
  #askAgainAt = Number.NEGATIVE_INFINITY;
  #hasToldOfNone = false;

  constructor(route: Route, options: TokenSubjectsOptions) {
    this.#route = route;
    this.#options = options;
  }

  async find(token: Token): Promise<TokenSubject> {
    const now = this.#options.clock();
    if (now < this.#askAgainAt) return { is: "unverified", againMs: AGAIN_MS };
    const found = await this.#ask(token);
    if (found.is !== "unknown") {
      this.#silentSince = undefined;
      return found;
    }
    this.#silentSince ??= now;
    if (this.#options.clock() - this.#silentSince < PATIENCE_MS) return found;
    this.#askAgainAt = this.#options.clock() + AGAIN_MS;
    throttled(this.#route.log).say(
      "warn",
      { reason: found.why, issuer: token.issuer },
      "cannot verify tokens: callers are told apart by their credentials, and a refreshed token will not find the tasks of the one before",
    );
    return { is: "unverified", againMs: AGAIN_MS };
  }

  async #ask(token: Token): Promise<TokenSubject> {
    try {
      await this.#refresh();
    } catch (error) {
      return { is: "unknown", why: `the server's metadata: ${messageOf(error)}` };
    }
    const verify = this.#verifierFor(token.issuer);
    if (verify === undefined) {
      this.#tellOfNone(token);
      return { is: "unverified" };
    }
    return subjectBy(await verify, token, this.#route.log);
  }

  /** Reads the metadata once for all requests at the same time. @throws Error when none are known, and the server gave no answer */
  async #refresh(): Promise<void> {
    if (this.#options.clock() - this.#readAt < FRESH_MS) return;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { upstream } = this.#route.config;
    if (upstream.transport === "stdio") return;
    const now = this.#options.clock();
    const stands = now - this.#namedAt < STANDS_MS;
    try {
      const metadata = await readServerMetadata(upstream.url, AbortSignal.timeout(READ_MS));
      if (metadata !== undefined && metadata.issuers.length > 0) this.#namedAt = now;
      if (metadata !== undefined || !stands) this.#learn(metadata);
    } catch (error) {
      if (!stands) throw error;
    }
    this.#readAt = now;
  }

  #learn(metadata: ServerMetadata | undefined): void {
    // A verifier holds the keys of its issuer, so keep it while the metadata stay the same.
    if (JSON.stringify(metadata) !== JSON.stringify(this.#metadata)) this.#verifiers = new Map();
    this.#metadata = metadata;
  }

  #verifierFor(issuer: string): Promise<VerifyToken> | undefined {
    const { upstream } = this.#route.config;
    // A server may write an issuer's origin with a slash and the issuer without; the issuer's own metadata decide whose the keys are.
    const isNamed = this.#metadata?.issuers.some((named) => bare(named) === bare(issuer)) ?? false;
    if (!isNamed || upstream.transport === "stdio") return undefined;
    const known = this.#verifiers.get(issuer);
    if (known !== undefined) return known;
    const made = verifierOf({
      issuer,
      audience: this.#audience(upstream.url),
      clockToleranceMs: CLOCK_TOLERANCE_MS,
      clock: this.#options.clock,
      onFailure: failureLog(this.#route.log),
      mayAsk: mayAskFor(upstream.url),
    });
    this.#verifiers.set(issuer, made);
    return made;
  }

  /** The audiences that a token for this server may name: the server's name for itself, and the addresses by which clients reach it. */
  #audience(url: URL): readonly string[] {
    const { path, aliases } = this.#route.config;
    const { publicUrl } = this.#options;
    const ours = publicUrl === undefined ? [] : [path, ...aliases].map((each) => `${publicUrl}${each}`);
    const all = [this.#metadata?.resource ?? url.href, url.href, ...ours];
    return [...new Set(all.flatMap((each) => [each, bare(each), `${bare(each)}/`]))];
  }

  #tellOfNone({ issuer }: Token): void {
    if (this.#hasToldOfNone) return;
    this.#hasToldOfNone = true;
    const named = this.#metadata?.issuers ?? [];
    this.#route.log.info(
      { issuer, named },
      "the server's metadata do not name the issuer of a token: its callers are told apart by their credentials (callers.jwt vouches for an issuer)",
    );
  }
}

async function subjectBy(verify: VerifyToken, { jwt }: Token, log: Logger): Promise<TokenSubject> {
  const { InvalidToken } = await loadVerifier();
  try {
    const { issuer, subject } = await verify(jwt);
    return { is: "verified", key: subjectKey(issuer, subject) };
  } catch (error) {
    const reason = messageOf(error);
    if (!(error instanceof InvalidToken) && !isAnswered(error)) return { is: "unknown", why: reason };
    throttled(log).say(
      "warn",
      { reason },
      "the server takes a token that cannot be verified: its caller is told apart by the credential",
    );
    return { is: "unverified" };
  }
}

/** Whether there was an answer that is no set of keys: waiting for another would be in vain. */
function isAnswered(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof NoSuchDocument;
}

async function verifierOf(options: Parameters<Verifier["tokenVerifier"]>[0]): Promise<VerifyToken> {
  const { tokenVerifier } = await loadVerifier();
  return tokenVerifier(options);
}

type Verifier = typeof import("./token-verifier.ts");

/** Not loaded before there is a token. */
function loadVerifier(): Promise<Verifier> {
  return import("./token-verifier.ts");
}

function failureLog(log: Logger): (error: Error) => void {
  return (error) =>
    throttled(log).say("warn", { err: error }, "the keys of the token issuer are not to be had");
}

function bare(url: string): string {
  return url.endsWith("/") ? url.slice(0, -1) : url;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
