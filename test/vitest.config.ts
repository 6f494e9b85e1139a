import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./longest-first.ts";
import { IMAGE, SLOW, STORIES, UNITS } from "./plan.ts";
import { PlanReporter } from "./plan-reporter.ts";

const NEVER = ["**/node_modules/**", ...SLOW, ...IMAGE];

/** Programs, sockets and processes of others: in CI, a test of them that fails is tried once more. The plan's last lines name it all the same. */
const TRIES_MORE = process.env.CI === undefined ? 0 : 1;

export default defineConfig({
  root: resolve(import.meta.dirname, ".."),
  test: {
    // For tests that hang, not for those that are slow: a machine with other work takes ten times as long.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    reporters: ["default", new PlanReporter()],
    expect: { poll: { timeout: 60_000 } },
    pool: "forks",
    sequence: { sequencer: LongestFirst },
    // Tests wait more than they work, so that four do well on two cores: three kept them busy for 60 % of the time.
    maxWorkers: Math.max(4, availableParallelism() - 1),
    projects: [
      // Nothing of them is left behind in a process, so that what they import is loaded once for all.
      { extends: true, test: { name: "units", include: UNITS, exclude: NEVER, isolate: false } },
      { extends: true, test: { name: "stories", include: STORIES, exclude: NEVER, retry: TRIES_MORE } },
      {
        extends: true,
        test: {
          name: "long",
          include: ["test/**/*.test.ts"],
          exclude: [...NEVER, ...UNITS, ...STORIES],
          retry: TRIES_MORE,
        },
      },
    ],
  },
});
