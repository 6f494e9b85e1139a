import type { Dispatcher } from "undici";
import { Era } from "./era.ts";
import { ModernServer } from "./modern-server.ts";
import { type ModernDescription, probe, type Verdict } from "./probe.ts";

type Headers = Readonly<Record<string, string>>;

export interface ModernUpstreamOptions {
  readonly url: URL;
  /** The configured headers, names in lower case. */
  readonly headers: Headers;
  readonly nextDispatcher: () => Dispatcher;
  readonly clientInfo: { readonly name: string; readonly version: string };
  readonly maxMessageBytes: number;
}

/** A server over Streamable HTTP that may be of 2026-07-28. */
export class ModernUpstream {
  readonly #era: Era;
  readonly #server: ModernServer;
  #description: ModernDescription = { supportedVersions: [], capabilities: {} };

  constructor(options: ModernUpstreamOptions) {
    const { url, headers, nextDispatcher, clientInfo } = options;
    this.#era = new Era({
      probe: (given) =>
        probe({ url, headers: { ...given, ...headers }, dispatcher: nextDispatcher(), clientInfo }),
    });
    this.#server = new ModernServer({
      ...options,
      description: () => this.#description,
      onDoubt: (given) => this.#era.doubt(given),
    });
  }

  /** The server, if it is known to speak the revision. */
  get known(): ModernServer | undefined {
    const { known } = this.#era;
    return known === undefined ? undefined : this.#serverOf(known);
  }

  /** The same, and if nothing is known it is asked first. At once when something is. Never rejects. */
  find(headers: Headers): ModernServer | undefined | Promise<ModernServer | undefined> {
    const verdict = this.#era.verdict(headers);
    return "then" in verdict ? verdict.then((late) => this.#serverOf(late)) : this.#serverOf(verdict);
  }

  close(): void {
    this.#server.close();
  }

  #serverOf(verdict: Verdict): ModernServer | undefined {
    if (verdict.era !== "modern") return undefined;
    this.#description = verdict.description;
    return this.#server;
  }
}
