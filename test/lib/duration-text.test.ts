import { expect, test } from "vitest";
import { durationText } from "../../src/lib/duration-text.ts";

test.each([
  [-5, "0 ms"],
  [0, "0 ms"],
  [239.6, "240 ms"],
  [999.4, "999 ms"],
  [1_000, "1 s"],
  [2_149, "2.1 s"],
  [59_999, "59.9 s"],
  [60_000, "1 min"],
  [200_000, "3 min 20 s"],
  [3_600_000, "1 h"],
  [3_900_000, "1 h 5 min"],
  [90_000_000, "1 d 1 h"],
])("%d ms are %s", (ms, text) => {
  expect(durationText(ms)).toBe(text);
});
