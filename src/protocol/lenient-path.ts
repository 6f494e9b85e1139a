/**
 * A path as the most lenient server reads it: paths that a server may take for each other give the same text. Servers differ in what they
 * overlook: case, an escaped letter, slashes too many, parameters of a segment (RFC 3986 §3.3).
 * @param path begins with a slash; may have a query, which does not count
 */
export function lenientPath(path: string): string {
  // Dots as the request that is forwarded has them: resolved.
  const { pathname } = new URL(`http://localhost${path}`);
  const plain = pathname.replace(/%[0-7][0-9a-f]/gi, (escaped) =>
    String.fromCharCode(Number.parseInt(escaped.slice(1), 16)),
  );
  const segments = plain
    .replace(/;[^/]*/g, "")
    .toLowerCase()
    .split("/");
  return `/${segments.filter(Boolean).join("/")}`;
}
