import { Era } from "../era.ts";
import type { UpstreamFailure } from "../failure.ts";
import type { Presence } from "../presence.ts";
import type { SessionOwner } from "../sessions/session.ts";
import { CookieJar } from "../transports/cookies.ts";
import type { TransportsOptions } from "../transports/open.ts";
import { BridgedTransport } from "./bridged-transport.ts";
import { DualEra, type DualEraOptions } from "./dual-era.ts";
import { type ModernDescription, type ProbeResult, probe } from "./probe.ts";
import { ModernServer, type ModernServerOptions } from "./server.ts";

type Headers = Readonly<Record<string, string>>;

export interface ModernUpstreamOptions
  extends Omit<ModernServerOptions, "description" | "onUnexpectedEra">,
    Pick<DualEraOptions, "tryOut"> {
  /** Hears whether the server is there. */
  readonly presence: Presence;
}

/**
 * The server, if it may speak 2026-07-28: one that can have one session only is a legacy one, and may take the probe for the beginning of
 * that session. Over stdio a server's era shows when a session is opened (`EitherEraTransport`).
 */
export function modernUpstreamFor(
  { config, ...options }: TransportsOptions,
  hooks: Pick<ModernUpstreamOptions, "presence" | "onListed" | "tryOut">,
): ModernUpstream | undefined {
  if (config.transport === "stdio" || config.transport === "sse" || config.sessions === "single")
    return undefined;
  const { url, headers } = config;
  return new ModernUpstream({ ...options, ...hooks, url, headers });
}

/** A server over Streamable HTTP that may speak 2026-07-28. */
export class ModernUpstream {
  readonly #probe: (headers: Headers) => Promise<ProbeResult>;
  readonly #options: ModernUpstreamOptions;
  readonly #era: Era;
  readonly #dualEra: DualEra;
  readonly #server: ModernServer;
  #description: ModernDescription = { supportedVersions: [], capabilities: {} };

  constructor(options: ModernUpstreamOptions) {
    const { url, headers, agents, clientInfo, presence } = options;
    this.#options = options;
    this.#probe = async (given) => {
      const dispatcher = agents.next(given);
      const result = await probe({ url, headers: { ...given, ...headers }, dispatcher, clientInfo });
      if (result.era === "unknown") presence.failed(result.failure);
      else presence.answered();
      return result;
    };
    this.#era = new Era({ probe: this.#probe });
    this.#dualEra = new DualEra(options);
    this.#server = new ModernServer({
      ...options,
      description: () => this.#description,
      onUnexpectedEra: (given) => this.#era.recheck(given),
    });
  }

  /** The server, if the gateway knows that it speaks the revision. */
  get known(): ModernServer | undefined {
    const { known } = this.#era;
    return known === undefined ? undefined : this.#serverOf(known);
  }

  /** Like `known`, but probes the server first if its era is unknown; returns at once otherwise. Never rejects. */
  find(headers: Headers): ModernServer | undefined | Promise<ModernServer | undefined> {
    const result = this.#era.resultFor(headers);
    return "then" in result ? result.then((late) => this.#serverOf(late)) : this.#serverOf(result);
  }

  /** Whether the server speaks the revision and is known to refuse clients of older ones. */
  get isOnly(): boolean {
    return this.#dualEra.isRuledOut === true && this.known !== undefined;
  }

  /**
   * Whether a server that has just refused a client's `initialize` with this status, or with none, speaks the revision and none before.
   * False at once if it cannot be so. Never rejects.
   */
  refusesSessions(headers: Headers, status?: number): false | Promise<boolean> {
    // A server that is not known to speak the revision is asked only if it refuses as the revision says (Versioning §Compatibility Matrix).
    if (this.known === undefined && status !== 400) return false;
    const found = this.find(headers);
    if (found === undefined || this.#dualEra.isRuledOut === false) return false;
    return Promise.resolve(found).then((server) => server !== undefined && this.#dualEra.findOut(headers));
  }

  /** A session of an older revision with this server, which has none. */
  bridge(owner: Pick<SessionOwner, "caller" | "headers">): BridgedTransport {
    const { url, clientInfo } = this.#options;
    // They keep the session at one node of the server.
    const cookies = new CookieJar(url);
    return new BridgedTransport({
      ask: (declared, asking) => this.#server.ask({ ...owner, ...declared }, { ...asking, cookies }),
      clientInfo,
    });
  }

  /**
   * Probes the server with these headers, whatever is known. Resolves with whether it answered as a modern server: a refusal other than of a
   * credential makes it look like a server of another revision.
   * @throws UpstreamFailure when it refuses the headers, or finds out nothing
   */
  async accepts(headers: Headers): Promise<boolean> {
    const result = await this.#probe(headers);
    if (result.era === "unknown") throw result.failure;
    return result.era === "modern";
  }

  /** Why a server of whichever era need not be asked anything with these headers: it wants a login. */
  refusal(headers: Headers): UpstreamFailure | undefined {
    return this.#era.refusal(headers);
  }

  /** Settles when a server that may still be starting is there, or is taken to be down. `undefined`: there is nothing to wait for. */
  starting(headers: Headers): Promise<void> | undefined {
    return this.#era.starting(headers);
  }

  /** Notes that a server which does not seem to speak the revision does not open a session either. */
  disprove(headers: Headers): void {
    this.#era.disprove(headers);
  }

  close(): void {
    this.#server.close();
  }

  #serverOf(result: ProbeResult): ModernServer | undefined {
    if (result.era !== "modern") return undefined;
    this.#description = result.description;
    return this.#server;
  }
}
