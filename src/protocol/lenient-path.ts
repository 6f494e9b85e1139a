/**
 * A path as the most lenient servers read it: paths that a server may take for each other have a reading in common. Servers differ in what
 * they overlook: case, escaped letters, escaped twice as well, backslashes, dots that are escaped or have parameters, parameters of a
 * segment (RFC 3986 §3.3), blanks and dots at its end, a query whose mark is escaped, and what follows a null character.
 * @param path begins with a slash; may have a query, which does not count
 * @returns one reading or two: dots may be resolved before slashes too many are removed, or after
 */
export function lenientPaths(path: string): readonly [string, ...string[]] {
  // Dots as the request that is forwarded has them: resolved.
  const { pathname } = new URL(`http://localhost${path}`);
  const [plain = ""] = unescaped(pathname).split(/[?#\0]/, 1);
  const segments = plain.toLowerCase().split(/[/\\]/).map(bare);
  const [merged, kept] = [resolved(segments.filter(Boolean)), resolved(segments.slice(1))];
  return merged === kept ? [merged] : [merged, kept];
}

/** Escaped once, twice or more often: each character that completes an escape is read again. ASCII only. */
function unescaped(text: string): string {
  const read: string[] = [];
  for (const character of text) {
    read.push(character);
    while (read.at(-3) === "%" && /^[0-7][0-9a-f]$/i.test(read.slice(-2).join(""))) {
      const [, high = "", low = ""] = read.splice(-3);
      read.push(String.fromCharCode(Number.parseInt(high + low, 16)));
    }
  }
  return read.join("");
}

/** A segment without its parameters, and without the blanks and dots at its end that file systems of Windows drop. */
function bare(segment: string): string {
  const [name = ""] = segment.split(";", 1);
  const trimmed = name.trim();
  if (trimmed === "." || trimmed === "..") return trimmed;
  let end = trimmed.length;
  while (end > 0 && (trimmed[end - 1] === "." || trimmed[end - 1] === " ")) end -= 1;
  return trimmed.slice(0, end);
}

function resolved(segments: readonly string[]): string {
  const path: string[] = [];
  for (const segment of segments) {
    if (segment === "..") path.pop();
    else if (segment !== ".") path.push(segment);
  }
  return `/${path.filter(Boolean).join("/")}`;
}
