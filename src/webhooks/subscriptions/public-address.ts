import { BlockList, isIP } from "node:net";

/**
 * Addresses that are not globally reachable, or stand for another address that may not be (IANA's special-purpose registries; RFC 6890 and
 * its updates). Of IPv6 everything outside of 2000::/3 is none either.
 */
const NOT_PUBLIC: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
  // Protocol assignments with Teredo, benchmarks and ORCHID; documentation; 6to4; documentation.
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];

const blocked = new BlockList();
for (const [network, prefix] of NOT_PUBLIC)
  blocked.addSubnet(network, prefix, isIP(network) === 6 ? "ipv6" : "ipv4");
const global6 = new BlockList();
global6.addSubnet("2000::", 3, "ipv6");

/** Whether anybody on the internet may be behind an address, and nobody who is only in the gateway's own network. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !blocked.check(address, "ipv4");
    case 6:
      return global6.check(address, "ipv6") && !blocked.check(address, "ipv6");
    default:
      return false;
  }
}
