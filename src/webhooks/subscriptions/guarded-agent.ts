import { type LookupAddress, lookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { Agent, buildConnector, type Dispatcher } from "undici";
import { isPublicAddress } from "./public-address.ts";

/** Finds all addresses of a host, as `dns.lookup` with `all` does. */
export type Resolve = (
  host: string,
  done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
) => void;

const resolveBySystem: Resolve = (host, done) => lookup(host, { all: true, verbatim: true }, done);

/**
 * Connects to public addresses only: the addresses that were checked are those that it connects to, whatever the name stands for a moment
 * later. A host with one address that is not public is refused altogether.
 * @param allowedHosts hosts that the operator lets clients name wherever they are, as `bareHost` writes them
 */
export function guardedAgent(
  allowedHosts: ReadonlySet<string>,
  resolve: Resolve = resolveBySystem,
): Dispatcher {
  const connect = buildConnector({ lookup: guardedLookup(allowedHosts, resolve) });
  return new Agent({
    // What was checked for one delivery is not used for another.
    pipelining: 0,
    connect: (options, done) => {
      // Nobody looks an address up.
      const host = bareHost(options.hostname);
      if (isIP(host) !== 0 && !isPublicAddress(host) && !allowedHosts.has(host))
        return done(new NotPublic(), null);
      return connect(options, done);
    },
  });
}

/** A host of a URL without the brackets of an IPv6 address, in lower case. */
export function bareHost(host: string): string {
  return host.toLowerCase().replace(/^\[|\]$/g, "");
}

function guardedLookup(allowedHosts: ReadonlySet<string>, resolve: Resolve): LookupFunction {
  return (host, { all }, done) => {
    resolve(host, (error, addresses) => {
      if (error !== null) return done(error, "", 0);
      const isAllowed = allowedHosts.has(bareHost(host));
      const [first] = addresses;
      if (first === undefined || (!isAllowed && !addresses.every(({ address }) => isPublicAddress(address))))
        return done(new NotPublic(), "", 0);
      if (all) return done(null, [...addresses]);
      return done(null, first.address, first.family);
    });
  };
}

/** Says nothing of what the name stands for: whoever gave it must not learn that. */
class NotPublic extends Error {
  override name = "NotPublic";
  readonly code = "ADDRESS_REFUSED";
  constructor() {
    super("the receiver has no public address");
  }
}
