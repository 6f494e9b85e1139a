import { type LookupAddress, lookup } from "node:dns";
import { Resolver } from "node:dns/promises";
import { isIP, type LookupFunction } from "node:net";
import { Agent, buildConnector, type Dispatcher } from "undici";
import { isPublicAddress } from "./public-address.ts";

/** Finds all addresses of a host, as `dns.lookup` with `all` does. */
export type Resolve = (
  host: string,
  done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
) => void;

const DNS_TIMEOUT_MS = 2_000;

/** As the system finds them: names of the operator's own may be in a file, or below a search domain. */
const resolveBySystem: Resolve = (host, done) => lookup(host, { all: true, verbatim: true }, done);

/**
 * Asks the name servers itself. The system's way takes one of the few threads that all look-ups of the process share: names whose servers
 * do not answer would keep the gateway from its own servers.
 * @param servers absent: those of the system
 */
export function resolveByDns(servers?: readonly string[]): Resolve {
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: 2 });
  if (servers !== undefined) resolver.setServers(servers);
  return (host, done) => {
    void Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]).then(([four, six]) => {
      const found: LookupAddress[] = [
        ...addressesIn(four).map((address) => ({ address, family: 4 })),
        ...addressesIn(six).map((address) => ({ address, family: 6 })),
      ];
      const failure = four.status === "rejected" && six.status === "rejected" ? four.reason : null;
      done(failure, found);
    });
  };
}

function addressesIn(result: PromiseSettledResult<string[]>): readonly string[] {
  return result.status === "fulfilled" ? result.value : [];
}

/**
 * Connects to public addresses only: the addresses that were checked are those that it connects to, whatever the name stands for a moment
 * later. A host with one address that is not public is refused altogether.
 * @param resolve for all hosts, in place of the system and its name servers
 * @param allowedHosts hosts that the operator lets clients name wherever they are, as `bareHost` writes them
 */
export function guardedAgent(allowedHosts: ReadonlySet<string>, resolve?: Resolve): Dispatcher {
  const byDns = resolveByDns();
  const find: Resolve =
    resolve ?? ((host, done) => (allowedHosts.has(bareHost(host)) ? resolveBySystem : byDns)(host, done));
  const connect = buildConnector({ lookup: guardedLookup(allowedHosts, find) });
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
