import { BlockList, isIP } from "node:net";

/**
 * Gives a function that tells whether a socket's address is that of a trusted proxy. An IPv4 address counts as itself also if a socket of
 * both families writes it as IPv6 (RFC 4291 §2.5.5.2).
 * @param networks addresses and networks: `10.0.0.0/8`, `::1`
 */
export function trustedProxies(
  networks: readonly string[],
): (address: string | undefined) => address is string {
  const trusted = new BlockList();
  for (const network of networks) {
    const [address = "", prefix] = network.split("/");
    const { family, bits } = isIP(address) === 6 ? IPV6 : IPV4;
    trusted.addSubnet(address, prefix === undefined ? bits : Number(prefix), family);
  }
  return (address): address is string => {
    const family = isIP(address ?? "");
    return family !== 0 && trusted.check(address ?? "", family === 6 ? "ipv6" : "ipv4");
  };
}

const IPV4 = { family: "ipv4", bits: 32 } as const;
const IPV6 = { family: "ipv6", bits: 128 } as const;
