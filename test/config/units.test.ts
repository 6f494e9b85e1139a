import { expect, test } from "vitest";
import { parseDuration, parseSize } from "../../src/config/units.ts";

test.each([
  ["0ms", 0],
  ["250ms", 250],
  ["30s", 30_000],
  ["5m", 300_000],
  ["1h", 3_600_000],
  ["2d", 172_800_000],
])("the duration %s is %d ms", (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each([
  "",
  "250",
  "1.5h",
  "-1s",
  "1 h",
  " 1h",
  "1h ",
  "1H",
  "1h30m",
  "1w",
  "ms",
  "1e3ms",
  "PT1H",
  "1h\n",
])("%j is no duration", (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test.each([
  ["0b", 0],
  ["512b", 512],
  ["64kb", 65_536],
  ["32mb", 33_554_432],
  ["32MB", 33_554_432],
  ["1gb", 1_073_741_824],
])("the size %s is %d bytes", (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each(["", "512", "1.5mb", "-1kb", "1 mb", "1mib", "1tb", "mb", "1k", "1\u212ab"])(
  "%j is no size",
  (text) => {
    expect(parseSize(text)).toBeUndefined();
  },
);
