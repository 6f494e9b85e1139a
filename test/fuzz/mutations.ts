import type { Random } from "../survival/support/seeded.ts";

/** Values that somebody may not have thought of, wherever a value stands. */
const VALUES: readonly [unknown, ...unknown[]] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  -(2 ** 63),
  "",
  " ",
  "0",
  "null",
  "\u0000",
  "\ud800",
  "𝔘".repeat(50),
  "\r\nx-injected: 1",
  "../../etc/passwd",
  "=?base64?AAAA?=",
  "A".repeat(24),
  "x".repeat(20_000),
  `${" ".repeat(20_000)}x`,
  `${"*a".repeat(5_000)}b`,
  [],
  {},
  [[]],
  [null],
  { toString: 1 },
  { valueOf: "x" },
  { length: -1 },
  Array.from({ length: 300 }, (_, n) => n),
  Array.from({ length: 20_000 }, () => ({})),
  Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`key${n}`, n])),
];
const KEYS: readonly [string, ...string[]] = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "then",
  "toJSON",
  "hasOwnProperty",
  "length",
  "",
  "id",
  "jsonrpc",
  "method",
  "params",
  "result",
  "error",
  "_meta",
  "task",
  "taskId",
  "0",
  "\u0000",
];

/** The same JSON, changed in one to three places. */
export function mutatedJson(value: unknown, random: Random): unknown {
  let mutated = value;
  for (let n = random.between(1, 3); n > 0; n -= 1) mutated = changedSomewhere(mutated, random);
  return mutated;
}

function changedSomewhere(value: unknown, random: Random): unknown {
  // The deeper, the likelier: most of what there is stands below.
  if (typeof value !== "object" || value === null || random.between(0, 5) === 0)
    return changed(value, random);
  const entries = Object.entries(value);
  if (entries.length === 0) return changed(value, random);
  const [key] = random.one(entries as [[string, unknown]]);
  const made = entries.flatMap(([name, inner]): [string, unknown][] => {
    if (name !== key) return [[name, inner]];
    switch (random.between(0, 9)) {
      case 0:
        return [];
      case 1:
        return [[random.one(KEYS), inner]];
      case 2:
        return [
          [name, inner],
          [random.one(KEYS), random.one(VALUES)],
        ];
      default:
        return [[name, changedSomewhere(inner, random)]];
    }
  });
  return Array.isArray(value) ? made.map(([, inner]) => inner) : ownEntries(made);
}

/** With `__proto__` as a member like any other, as `JSON.parse` makes it. */
function ownEntries(entries: readonly (readonly [string, unknown])[]): object {
  const made = {};
  for (const [key, value] of entries)
    Object.defineProperty(made, key, { value, enumerable: true, configurable: true, writable: true });
  return made;
}

function changed(value: unknown, random: Random): unknown {
  switch (random.between(0, 7)) {
    case 0:
      return [value];
    case 1:
      return { [random.one(KEYS)]: value };
    case 2:
      return typeof value === "string" ? changedText(value, random) : JSON.stringify(value);
    case 3:
      return nested(value, random.one([30, 100, 1_000]));
    default:
      return random.one(VALUES);
  }
}

function nested(value: unknown, depth: number): unknown {
  let made = value;
  for (let n = 0; n < depth; n += 1) made = n % 2 === 0 ? [made] : { a: made };
  return made;
}

function changedText(text: string, random: Random): string {
  const at = random.between(0, text.length);
  return random.one([
    text.slice(0, at),
    text.slice(at),
    text + text,
    text.toUpperCase(),
    `${text.slice(0, at)}\u0000${text.slice(at)}`,
    ` ${text} `,
  ]);
}

/** What is no JSON any more, as often as not. */
const SCRAPS: readonly [string, ...string[]] = [
  "\u0000",
  "\ufeff",
  "\r\n",
  "\n\n",
  "{",
  "}",
  "[",
  "]",
  '"',
  ",",
  ":",
  "\\u",
  "\\",
  "NaN",
  "1e999",
  "//",
  "data: ",
  "event: message\n",
  '{"jsonrpc":"2.0"',
  "-",
  "0x",
  "id: 1\n",
  "Content-Length: 5\r\n",
  "Transfer-Encoding: chunked\r\n",
  "0\r\n\r\n",
  "HTTP/1.1 200 OK\r\n",
];

/** The same bytes, with some of them changed, left out, doubled or put in. */
export function mutatedBytes(bytes: Buffer, random: Random): Buffer {
  let mutated = bytes;
  for (let n = random.between(1, 4); n > 0; n -= 1) {
    const at = random.between(0, mutated.length);
    const to = Math.min(mutated.length, at + random.between(1, 40));
    const [before, slice, after] = [mutated.subarray(0, at), mutated.subarray(at, to), mutated.subarray(to)];
    switch (random.between(0, 5)) {
      case 0:
        mutated = Buffer.concat([before, after]);
        break;
      case 1:
        mutated = Buffer.concat([before, slice, slice, after]);
        break;
      case 2:
        mutated = Buffer.concat([before, Buffer.from(random.one(SCRAPS)), slice, after]);
        break;
      case 3:
        mutated = before;
        break;
      case 4:
        mutated = Buffer.concat([before, slice.map((byte) => byte ^ (1 << random.between(0, 7))), after]);
        break;
      default:
        mutated = Buffer.concat([before, Buffer.from([0xff, 0xfe, 0xc0, 0x80]), slice, after]);
    }
  }
  return mutated;
}
