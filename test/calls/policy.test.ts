import { expect, test } from "vitest";
import { policyOf } from "../../src/calls/policy.ts";
import type { ToolPolicy } from "../../src/config/config.ts";

const TASKS: ToolPolicy = {
  mode: "auto",
  waitForMs: 1,
  ttlMs: 2,
  pollIntervalMs: 3,
  maxPollIntervalMs: 4,
  maxRuntimeMs: 5,
  maxResultBytes: 6,
  onLoss: "fail",
  isUnsafe: false,
};
const rules = (...globs: string[]) => globs.map((match, index) => ({ ...TASKS, match, ttlMs: 100 + index }));

test.each([
  [["greet"], "greet", 100],
  [["greet"], "greeting", 2],
  [["greet"], "Greet", 2],
  [["render_*"], "render_", 100],
  [["render_*"], "render_a/b.c", 100],
  [["*"], ".hidden", 100],
  [["*"], "", 2],
  [["?"], "a", 100],
  [["?"], "ab", 2],
  [["{a,b}_*"], "b_x", 100],
  [["[ab]"], "b", 100],
  [["a*", "*"], "abc", 100],
  [["*", "a*"], "abc", 100],
  [["b*", "a*"], "abc", 101],
  [[], "abc", 2],
  [["*"], "__proto__", 100],
] as const)("of %j, %j gets the terms of the first that matches", (globs, tool, ttlMs) => {
  expect(policyOf({ tasks: TASKS, tools: rules(...globs) })(tool).ttlMs).toBe(ttlMs);
});
