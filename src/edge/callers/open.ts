import type { Logger } from "pino";
import type { Config } from "../../config/config.ts";
import { hostCheck } from "../guards.ts";
import { anonymous } from "./anonymous.ts";
import { byAuthorization } from "./authorization.ts";
import { byHeader } from "./header.ts";
import type { Identify } from "./identify.ts";
import { byToken } from "./jwt.ts";
import { type Documents, resourceDocuments } from "./protected-resource.ts";

export interface IdentifierOptions {
  /** What credentials are hashed with. */
  readonly secret: Buffer;
  readonly log: Logger;
}

/** How callers are told apart, as the configuration has it. */
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
 * What the gateway says of itself to those who look for a way to log in. Undefined where it is the servers who take credentials:
 * then the documents are theirs as well.
 * @param paths of all routes
 */
export function documentsFor({ callers, listen }: Config, paths: Iterable<string>): Documents | undefined {
  if (callers.identify !== "jwt") return undefined;
  const { publicUrl } = listen;
  return resourceDocuments({ ...callers, paths, publicUrl, checkHost: hostCheck(listen) });
}
