import type { Route } from "../../lanes/lane.ts";
import { Recent } from "../../ops/recent.ts";
import { toFailure, type UpstreamFailure } from "../../upstreams/failure.ts";
import type { Token } from "./bearer-token.ts";

const MAX_PROVEN = 10_000;
/** Issuers and keys, of all routes. */
const MAX_UNPROVEN = 1_000;
const STANDS_MS = 3_600_000;
/** How a server says that it is too busy to look. */
const BUSY: ReadonlySet<number> = new Set([408, 425, 429, 502, 503, 504]);

/**
 * Whether a server verifies what a token says. Many take any request, whatever it carries: there anybody could write a token that
 * names somebody else. So a server has to refuse the same token with another signature before it is believed who the subject is.
 * Of every token anew: a server may look at the signatures of some and not of others, as when it lets in without a name whose
 * token has expired.
 */
export class SignatureProofs {
  /** When, by route and token. */
  readonly #proven = new Recent<string, number>(MAX_PROVEN);
  /** When, by route, issuer and key: where one token is not verified, others that look the same are not worth a try. */
  readonly #unproven = new Recent<string, number>(MAX_UNPROVEN);

  /**
   * @param id of the route and the token
   * @param headers with the token, which the server has accepted
   * @throws UpstreamFailure when the server gave no answer
   */
  async prove(
    id: string,
    route: Route,
    headers: Readonly<Record<string, string>>,
    token: Token,
  ): Promise<boolean> {
    const now = performance.now();
    const stands = (foundAt: number | undefined) => foundAt !== undefined && now - foundAt < STANDS_MS;
    const kind = JSON.stringify([route.config.name, token.issuer, token.signedWith]);
    if (stands(this.#proven.get(id))) return true;
    if (stands(this.#unproven.get(kind))) return false;
    const refusal = await refusalOf(route, { ...headers, authorization: token.forgery });
    if (refusal === undefined) this.#unproven.set(kind, now);
    const { status } = refusal?.facts ?? {};
    if (refusal !== undefined && (status === undefined || BUSY.has(status))) throw refusal;
    // Nothing else says that it is the token (RFC 6750 §3.1): 403 is what some say to whoever asks too often, and so can be provoked.
    if (status !== 401) return false;
    this.#proven.set(id, now);
    return true;
  }
}

/** Why the server does not take it; `undefined` when it does. */
async function refusalOf(
  route: Route,
  headers: Readonly<Record<string, string>>,
): Promise<UpstreamFailure | undefined> {
  try {
    await route.upstream.accepts(headers);
    return undefined;
  } catch (error) {
    return toFailure(error);
  }
}
