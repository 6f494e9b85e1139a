import type { Logger } from "pino";
import type { Config } from "../../config/config.ts";
import { hostCheck } from "../guards.ts";
import { byAuthorization } from "./authorization.ts";
import { byHeader } from "./header.ts";
import { anonymous, type Identify } from "./identify.ts";
import { byToken } from "./jwt.ts";
import { type Documents, resourceDocuments } from "./protected-resource.ts";
import { trustedProxies } from "./trusted-proxies.ts";

export interface IdentifierOptions {
  /** The key of the hash of credentials. */
  readonly secret: Buffer;
  readonly log: Logger;
}

/** Tells callers apart as the configuration says. */
export function identifierFor({ callers, listen }: Config, { secret, log }: IdentifierOptions): Identify {
  switch (callers.identify) {
    case "anonymous":
      return anonymous;
    case "auto":
    case "authorization":
      return byAuthorization({
        secret,
        isRequired: callers.identify === "authorization",
        trusted: callers.jwt,
        publicUrl: listen.publicUrl,
      });
    case "header":
      return byHeader(callers);
    case "jwt":
      return byToken({ ...callers, publicUrl: listen.publicUrl, log });
  }
}

/**
 * The gateway's documents for clients that look for a way to log in. Undefined when the servers take the credentials: then the documents
 * are theirs as well.
 * @param routes by path, which may change
 */
export function documentsFor(
  { callers, listen }: Config,
  routes: () => ReadonlyMap<string, unknown>,
): Documents | undefined {
  if (callers.identify !== "jwt") return undefined;
  const { publicUrl } = listen;
  const isTrusted = trustedProxies(callers.trustedProxies ?? []);
  return resourceDocuments({ ...callers, routes, publicUrl, isTrusted, checkHost: hostCheck(listen) });
}
