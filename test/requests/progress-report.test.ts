/** The news that a client gets under its token between the server's own progress. */

import { expect, test } from "vitest";
import { inWords } from "../../src/requests/fallback.ts";
import { ProgressReport } from "../../src/requests/progress-report.ts";
import type { Progress } from "../../src/upstream/sessions/session.ts";

function reported(): { readonly report: ProgressReport; readonly told: Progress[] } {
  const told: Progress[] = [];
  return { told, report: new ProgressReport((progress) => void told.push(progress)) };
}

test.each([
  ["counts from 0", [0, 1, 2]],
  ["begins below 0", [-5, 0, 5]],
  ["has small steps", [0, 0.001, 0.002]],
  ["counts bytes", [1e12, 1e12 + 65_536, 2e12]],
])("every value is greater than the one before, for a server that %s", (_, values) => {
  const { report, told } = reported();
  const say = () => {
    for (let times = 0; times < 200; times += 1) report.say("still running");
  };
  if (Number(values[0]) >= 0) say();
  for (const progress of values) {
    report.pass({ progress, total: 9e12, message: "the server's" });
    say();
  }
  const all = told.map(({ progress }) => progress);
  expect(all).toEqual([...new Set(all)].toSorted((a, b) => a - b));
  const own = told.filter(({ message }) => message === "the server's");
  expect(own).toEqual(values.map((progress) => ({ progress, total: 9e12, message: "the server's" })));
  const ours = told.filter(({ message }) => message === "still running");
  expect(ours.length).toBeGreaterThan(200);
  expect(ours.every(({ total }) => total === undefined)).toBe(true);
});

test("a value so large that nothing fits beside it is followed by nothing of ours", () => {
  const { report, told } = reported();
  report.pass({ progress: Number.MAX_VALUE });
  report.say("still running");
  expect(told).toEqual([{ progress: Number.MAX_VALUE }]);
});

test.each([
  [0, "0 s"],
  [15_000, "15 s"],
  [60_000, "1 min"],
  [130_400, "2 min 10 s"],
  [3_600_000, "1 h"],
  [3_900_000, "1 h 5 min"],
])("%i ms are %s", (ms, words) => {
  expect(inWords(ms)).toBe(words);
});
