import { toFailure, type UpstreamFailure } from "../failure.ts";

type Headers = Readonly<Record<string, string>>;

export interface DualEraOptions {
  /** Opens a session with these headers of a caller's, and ends it. @throws UpstreamFailure when there is none */
  readonly tryOut: (headers: Headers) => Promise<void>;
  /** Milliseconds since any point in time. */
  readonly clock?: () => number;
}

/** A server may be replaced by another: it is asked again after this long. */
const MAX_AGE_MS = 300_000;
/** How servers refuse a session that speak 2026-07-28 only (Versioning §Compatibility Matrix): 400, and what those say that know no such path. */
const REFUSALS: ReadonlySet<unknown> = new Set([400, 404, 405, 406]);
const UNSUPPORTED_VERSION = -32022;

/**
 * Whether a server that speaks 2026-07-28 serves clients of older revisions as well (Versioning §Terminology). The gateway asks only when the
 * server has refused a client: the client's own `initialize` may have been at fault.
 */
export class DualEra {
  readonly #tryOut: DualEraOptions["tryOut"];
  readonly #clock: () => number;
  #found: { readonly isRuledOut: boolean; readonly at: number } | undefined;
  #asking: Promise<boolean> | undefined;

  constructor({ tryOut, clock = () => performance.now() }: DualEraOptions) {
    this.#tryOut = tryOut;
    this.#clock = clock;
  }

  /** Whether the server has lately been found to take no sessions; `undefined`: it has not been asked. */
  get isRuledOut(): boolean | undefined {
    const isOld = this.#found === undefined || this.#clock() - this.#found.at > MAX_AGE_MS;
    return isOld ? undefined : this.#found?.isRuledOut;
  }

  /** As `isRuledOut`, and asks if that is not known: once for all that want to know. False if the server does not say. Never rejects. */
  async findOut(headers: Headers): Promise<boolean> {
    const known = this.isRuledOut;
    if (known !== undefined) return known;
    this.#asking ??= this.#ask(headers).finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(headers: Headers): Promise<boolean> {
    const refusal = await this.#tryOut(headers).then(() => undefined, toFailure);
    const isRuledOut = refusal !== undefined && refusesSessions(refusal);
    // Any other failure says nothing.
    if (refusal === undefined || isRuledOut) this.#found = { isRuledOut, at: this.#clock() };
    return isRuledOut;
  }
}

/** Whether a server refuses `initialize` as one does that has no sessions. */
export function refusesSessions({ facts: { status, rpcError } }: UpstreamFailure): boolean {
  return REFUSALS.has(status) || rpcError?.code === UNSUPPORTED_VERSION;
}
