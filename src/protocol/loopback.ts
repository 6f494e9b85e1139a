/** Whether only this machine can reach a host: an address or a name, with or without the brackets of a URL. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, "");
  return (
    name === "localhost" ||
    name.endsWith(".localhost") ||
    name === "::1" ||
    /^(?:::ffff:)?127(?:\.\d{1,3}){3}$/.test(name) ||
    // An IPv4 loopback address mapped into IPv6, as a URL spells it (RFC 4291 §2.5.5.2).
    /^::ffff:7f[\da-f]{2}:[\da-f]{1,4}$/.test(name)
  );
}
