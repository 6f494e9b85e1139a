/** What holds for every text in a configuration. */

import { expect, test } from "vitest";
import { hostName, httpUrl, mountPath, origin, serverName, storeUrl } from "../../src/config/addresses.ts";
import { substituteEnvironment } from "../../src/config/environment.ts";
import { durationPattern, parseDuration, parseRate, parseSize, sizePattern } from "../../src/config/units.ts";
import { parseStoreUrl } from "../../src/store-url.ts";
import * as fc from "../support/properties.ts";

const numRuns = 500;
const ADDRESSES = [hostName(), httpUrl(), mountPath(), origin(), serverName(), storeUrl()];
/** Maps, because every object has a `toString`, which the generator tries as a unit. */
const MS = new Map(Object.entries({ ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 }));
const BYTES = new Map(Object.entries({ b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30 }));
/** `${A}`, and what stands for a plain `${`. */
const [REFERENCE, ESCAPED] = ["$".concat("{A}"), "$$".concat("{")];

test("a duration, a size and a rate are numbers that are as large as they say, or nothing", () =>
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.stringMatching(/^\d{1,6} ?(ms|[smhd]|[kmg]?b|[KMG]?B|\/[smh])?$/)),
      (text) => {
        const [, count = "", unit = ""] = /^(\d+)(.*)$/s.exec(text) ?? [];
        const ms = MS.get(unit);
        const bytes = BYTES.get(unit.toLowerCase());
        expect(parseDuration(text)).toBe(ms && Number(count) * ms);
        expect(parseSize(text)).toBe(bytes && Number(count) * bytes);
        // What an editor is told is what is read.
        expect(new RegExp(durationPattern).test(text)).toBe(parseDuration(text) !== undefined);
        expect(new RegExp(sizePattern).test(text)).toBe(
          parseSize(text) !== undefined || (/[kmg][bB]$/.test(unit) === true && bytes !== undefined),
        );
        const rate = parseRate(text);
        expect(rate === undefined || `${rate.count}` === String(Number(count))).toBe(true);
      },
    ),
    { numRuns },
  ));

test("no text breaks a check of an address", () =>
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.webUrl(),
        fc.ipV6(),
        fc.constantFrom("/a/../b", "[::1]", "https://a.b", "level:x", "http://["),
      ),
      (text) => {
        for (const schema of ADDRESSES) expect(typeof schema.safeParse(text).success).toBe("boolean");
      },
    ),
    { numRuns: 100 },
  ));

test("a path that servers may be mounted at is one that every program reads alike", () =>
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("/", "a", ".", "..", "%2e", "\\", "?", "~", ";", "A"), { maxLength: 6 }),
      (parts) => {
        const path = parts.join("");
        const isTaken = mountPath().safeParse(path).success;
        const isPlain =
          isTaken && new URL(`http://h${path}`).pathname === path && decodeURIComponent(path) === path;
        expect(isPlain).toBe(isTaken);
      },
    ),
    { numRuns },
  ));

test("what is in a variable is put in once, as it is", () =>
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(REFERENCE, ESCAPED, "x", "$", "{", "}"), fc.string()), {
        maxLength: 6,
      }),
      fc.oneof(fc.string(), fc.constantFrom(REFERENCE, ESCAPED, "$&", "$1")),
      (parts, given) => {
        const clean = parts.map((part) =>
          part === REFERENCE || part === ESCAPED ? part : part.replaceAll(/[${}]/g, ""),
        );
        const filled = clean
          .map((part) => (part === REFERENCE ? given : part === ESCAPED ? "$".concat("{") : part))
          .join("");
        const { value, problems } = substituteEnvironment({ deep: [clean.join("")] }, { A: given });
        expect([value, problems]).toEqual([{ deep: [filled] }, []]);
      },
    ),
    { numRuns },
  ));

test("any document is gone through, and what is wrong with it is said", () =>
  fc.assert(
    fc.property(fc.anything(), (document) => {
      expect(Array.isArray(substituteEnvironment(document, {}).problems)).toBe(true);
    }),
    { numRuns },
  ));

test("the url of a store is read, or refused without a word of its password", () =>
  fc.assert(
    fc.property(
      fc.constantFrom("redis", "rediss", "redis+cluster", "rediss+sentinel", "http", "level", "memory"),
      fc.constantFrom("", "://", ":"),
      fc.constantFrom("", "user:", ":", "%zz:"),
      fc.stringMatching(/^SECRET[!-~]{0,5}$/),
      fc.constantFrom("@host", "@host:99999", "@[::1]:1/2", "@a,b/m?db=3", "@", "", "@host/x", "@@h"),
      (scheme, slashes, user, password, rest) => {
        const url = `${scheme}${slashes}${user}${password}${rest}`;
        let said: string;
        try {
          const address = parseStoreUrl(url);
          said = address.kind === "redis" && address.password !== undefined ? address.name : "";
        } catch (error) {
          said = (error as Error).message;
        }
        expect(said).not.toContain("SECRET");
      },
    ),
    { numRuns },
  ));
