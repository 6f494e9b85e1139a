import { JWKSNoMatchingKey } from "jose/errors";
import { createLocalJWKSet, type LocalJWKSet } from "jose/jwks/local";
import type { JWTVerifyGetKey } from "jose/jwt/verify";
import type { JwtCallersConfig } from "../../config/config.ts";
import { isObject, type JsonObject } from "../../protocol/jsonrpc.ts";
import { type FetchOptions, fetchDocument, findKeysUrl, NoSuchDocument } from "./issuer-documents.ts";

/** How long to use keys before fetching them again, so that a withdrawn key is not believed for ever. */
const FRESH_MS = 600_000;
/** An unknown key may be a new one, or a made-up one: the gateway must not ask the issuer for each. */
const COOLDOWN_MS = 5_000;
/** How long a failed fetch counts: as long as the gateway tells clients to wait. */
const FAILED_MS = 1_000;
/** How long all documents of one fetch may take. */
const FETCH_MS = 5_000;

/** The gateway could not get the keys of a token's issuer, and so can say nothing of the token. */
export class KeysUnavailable extends Error {
  override name = "KeysUnavailable";
}

export interface IssuerKeysOptions
  extends Pick<JwtCallersConfig, "issuer" | "jwks">,
    Pick<FetchOptions, "mayAsk"> {
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Called each time that the keys could not be fetched, or not be used. */
  readonly onFailure: (error: Error) => void;
}

/**
 * The keys of an issuer, fetched when they are needed. jose's own `createRemoteJWKSet` accepts no token while keys are due and cannot be
 * fetched, and tries again for every token: this uses the known keys meanwhile.
 */
export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  #known: LocalJWKSet | undefined;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #failure: { readonly error: KeysUnavailable; readonly until: number } | undefined;
  #fetching: Promise<LocalJWKSet> | undefined;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
  }

  /** @throws KeysUnavailable, and jose's errors when no key matches, or more than one */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    const known = this.#known ?? (await this.#fetch());
    if (this.#age > FRESH_MS) this.#fetch().catch(() => {});
    try {
      return await known(header, token);
    } catch (error) {
      if (!(error instanceof JWKSNoMatchingKey) || this.#age < COOLDOWN_MS) throw error;
      const fetched = await this.#fetch();
      return fetched(header, token);
    }
  };

  get #age(): number {
    return this.#options.clock() - this.#fetchedAt;
  }

  /** Fetches once for all requests at the same time. */
  #fetch(): Promise<LocalJWKSet> {
    if (this.#fetching !== undefined) return this.#fetching;
    if (this.#failure !== undefined && this.#options.clock() < this.#failure.until)
      return Promise.reject(this.#failure.error);
    this.#fetching = this.#fetchNow().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #fetchNow(): Promise<LocalJWKSet> {
    const { issuer, jwks, clock, onFailure, mayAsk } = this.#options;
    try {
      const fetching = { signal: AbortSignal.timeout(FETCH_MS), mayAsk };
      const document = await fetchDocument(jwks ?? (await findKeysUrl(issuer, fetching)), fetching);
      if (!isKeySet(document)) throw new NoSuchDocument("what is there is no set of keys (RFC 7517 §5)");
      this.#known = createLocalJWKSet(document);
      this.#fetchedAt = clock();
      this.#failure = undefined;
      return this.#known;
    } catch (cause) {
      const error = new KeysUnavailable("the keys of the issuer cannot be fetched", { cause });
      this.#failure = { error, until: clock() + FAILED_MS };
      onFailure(error);
      throw error;
    }
  }
}

type KeySet = Parameters<typeof createLocalJWKSet>[0];

function isKeySet(document: JsonObject): document is JsonObject & KeySet {
  return Array.isArray(document.keys) && document.keys.every(isObject);
}
