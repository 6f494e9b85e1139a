/** The rules that keep the parts of the gateway apart. What breaks one is listed as `file → import`. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";

const SRC = join(import.meta.dirname, "../src");

/** From the top to the bottom: a part may import what stands below it, and parts on one line know nothing of each other. */
const ORDER: readonly (readonly string[])[] = [
  ["cli", "index"],
  ["completion"],
  ["gateway"],
  ["reload"],
  ["core", "announcement", "client", "inspect", "operator", "retrofit"],
  ["routes"],
  ["http", "stdio"],
  ["handlers", "admin"],
  ["modern", "legacy"],
  ["proxy"],
  ["requests"],
  ["observers", "webhooks"],
  ["tasks"],
  ["calls"],
  ["upstream", "store"],
  ["limits"],
  ["config", "log"],
  ["lib"],
  ["protocol"],
  ["version", "store-url", "glob", "verbs", "exit-codes"],
];

/** Who may import a package. Whatever is not listed is anybody's. */
const KEEPERS: Readonly<Record<string, (file: string) => boolean>> = {
  express: (file) => file.startsWith("http/"),
  keyv: (file) => file.startsWith("store/"),
  "@keyv/redis": (file) => file.startsWith("store/"),
  "classic-level": (file) => file.startsWith("store/"),
  "@opentelemetry/api": (file) => file.startsWith("observers/traces/"),
  "@opentelemetry/core": (file) => file.startsWith("observers/traces/"),
  "@opentelemetry/resources": (file) => file === "observers/traces/sdk.ts",
  "@opentelemetry/sdk-trace-base": (file) => file === "observers/traces/sdk.ts",
  "@opentelemetry/exporter-trace-otlp-http": (file) => file === "observers/traces/sdk.ts",
  "@opentelemetry/exporter-trace-otlp-proto": (file) => file === "observers/traces/sdk.ts",
  standardwebhooks: (file) => file.startsWith("webhooks/"),
  "http-proxy": (file) => file === "proxy/reverse-proxy.ts",
};

/** What belongs together stays in one file; a longer file is two stories, and a reviewer says where the second begins. */
const MAX_LINES = 600;

interface Import {
  readonly file: string;
  /** A file of `src`, or the name of a package. */
  readonly from: string;
  readonly isTypeOnly: boolean;
  /** Whether it is loaded only when the program gets there. */
  readonly isLazy: boolean;
  readonly isPackage: boolean;
}

const FILES = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => file.endsWith(".ts"));
const IMPORTS = FILES.flatMap((file) => importsOf(file, readFileSync(join(SRC, file), "utf8")));

test("imports point down", () => {
  const wrong = IMPORTS.filter(({ isPackage }) => !isPackage).filter(({ file, from }) => {
    const [above, below] = [partOf(file), partOf(from)];
    return above !== below && levelOf(above) >= levelOf(below);
  });
  expect(arrows(wrong)).toEqual([]);
});

test("the protocol knows nothing but itself", () => {
  const wrong = IMPORTS.filter(({ file, from, isPackage }) => {
    return partOf(file) === "protocol" && (isPackage || partOf(from) !== "protocol");
  });
  expect(arrows(wrong)).toEqual([]);
});

test("only the gateway and what is on the command line have seen the configuration file", () => {
  const wrong = IMPORTS.filter(({ file, from, isTypeOnly }) => {
    const isOutside = ![
      "cli",
      "completion",
      "gateway",
      "reload",
      "client",
      "inspect",
      "operator",
      "retrofit",
      "index",
      "config",
    ].includes(partOf(file));
    return partOf(from) === "config" && isOutside && !(isTypeOnly && from === "config/config.ts");
  });
  expect(arrows(wrong)).toEqual([]);
});

test("packages stay where they are kept", () => {
  const wrong = IMPORTS.filter(({ file, from, isPackage }) => {
    const name = packageOf(from);
    return isPackage && Object.hasOwn(KEEPERS, name) && KEEPERS[name]?.(file) === false;
  });
  expect(arrows(wrong)).toEqual([]);
});

test("every package that is imported is a dependency", () => {
  const { dependencies } = JSON.parse(readFileSync(join(SRC, "../package.json"), "utf8"));
  const imported = IMPORTS.filter(({ isPackage, from }) => isPackage && !from.startsWith("node:"));
  const undeclared = imported.filter(({ from }) => !Object.hasOwn(dependencies, packageOf(from)));
  expect(arrows(undeclared)).toEqual([]);
});

test("what only some gateways need is loaded by those alone", () => {
  const eager = IMPORTS.filter(({ isTypeOnly, isLazy }) => !isTypeOnly && !isLazy);
  const isTraces = (file: string) => file.startsWith("observers/traces/");
  expect(arrows(eager.filter(({ file, from }) => isTraces(from) && !isTraces(file)))).toEqual([]);
  expect(arrows(eager.filter(({ from }) => from === "observers/traces/sdk.ts"))).toEqual([]);
});

test("nothing imports what imports it", () => {
  const circles = FILES.flatMap((file) => circleFrom(file));
  expect(circles).toEqual([]);
});

test("only what the wall clock is about reads it: a clock that somebody sets ends nothing else", () => {
  const readers = FILES.filter((file) =>
    /\bDate\.now\(|\bnew Date\(\)/.test(readFileSync(join(SRC, file), "utf8")),
  );
  expect(readers.sort()).toEqual([
    // What tokens say of their times.
    "http/callers/authorization.ts",
    "http/callers/jwt.ts",
    // What certificates say of theirs.
    "lib/certificate.ts",
    "lib/clock.ts",
    "lib/wall-clock.ts",
    "store/embedded/clock.ts",
    // The name of a directory.
    "store/embedded/rescue.ts",
    // The receiver's clock judges how old a signature is.
    "webhooks/post.ts",
  ]);
});

test(`no file is longer than ${MAX_LINES} lines`, () => {
  const lengths = FILES.map(
    (file) => [file, readFileSync(join(SRC, file), "utf8").split("\n").length - 1] as const,
  );
  expect(lengths.filter(([, lines]) => lines > MAX_LINES)).toEqual([]);
});

test("imports are read as they are written", () => {
  const source = [
    'import a, { type b } from "./b.ts";',
    'import type { c } from "../protocol/c.ts";',
    'import {\n  d,\n  e,\n} from "d/e";',
    'export { f } from "../http/f.ts";',
    'export type * from "./g.ts";',
    'import "./h.ts";',
    'const i = await import("../requests/i.ts");',
    'const text = `from "nowhere"`;',
  ].join("\n");
  expect(importsOf("tasks/a.ts", source).map(({ from, isTypeOnly }) => [from, isTypeOnly])).toEqual([
    ["tasks/b.ts", false],
    ["protocol/c.ts", true],
    ["d/e", false],
    ["http/f.ts", false],
    ["tasks/g.ts", true],
    ["tasks/h.ts", false],
    ["requests/i.ts", false],
  ]);
  expect(IMPORTS.length).toBeGreaterThan(FILES.length);
  expect(IMPORTS.filter(({ isPackage, from }) => !isPackage && !FILES.includes(from))).toEqual([]);
});

function importsOf(file: string, source: string): Import[] {
  const pattern =
    /^(?:import|export)\s+(?:(type)\s)?[^;`'"]*?from\s+"([^"]+)"|^import\s+()"([^"]+)"|\bimport\(()"([^"]+)"\)/gm;
  return [...source.matchAll(pattern)].map((match) => {
    const specifier = match[2] ?? match[4] ?? match[6] ?? "";
    const isPackage = !specifier.startsWith(".");
    const from = isPackage ? specifier : normalize(join(dirname(file), specifier)).replaceAll("\\", "/");
    const isLazy = match[6] !== undefined;
    return { file, from, isTypeOnly: match[1] === "type", isLazy, isPackage };
  });
}

/** `calls/call.ts` is of `tasks`, `gateway.ts` is its own part. */
function partOf(file: string): string {
  return file.includes("/") ? file.slice(0, file.indexOf("/")) : file.replace(/\.ts$/, "");
}

function levelOf(part: string): number {
  const level = ORDER.findIndex((parts) => parts.includes(part));
  if (level === -1) throw new Error(`${part} has no place in the order of parts yet`);
  return level;
}

function packageOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

/** What is imported for its types only does not exist when the program runs. */
function circleFrom(start: string): string[] {
  const next = (file: string) => IMPORTS.filter((each) => each.file === file && !each.isTypeOnly);
  const reached = new Set<string>();
  const waiting = [start];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    for (const { from } of next(file)) {
      if (from === start) return [`${start} → … → ${file} → ${start}`];
      if (!reached.has(from)) waiting.push(from);
      reached.add(from);
    }
  }
  return [];
}

function arrows(imports: readonly Import[]): string[] {
  return imports.map(({ file, from }) => `${file} → ${from}`);
}
