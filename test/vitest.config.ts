import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { PlanReporter } from "./plan-reporter.ts";

/** What takes a minute a file, because it is about the programs of others: `npm run test:slow` runs it. */
export const LONG = [
  "test/conformance/requirements-2025-paired.test.ts",
  "test/front/sdk.test.ts",
  "test/gateway/paired/clients.test.ts",
  "test/real/legacy-clients-programs.test.ts",
];

export default defineConfig({
  root: resolve(import.meta.dirname, ".."),
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/slow/**", ...LONG, "**/node_modules/**"],
    // For tests that hang, not for those that are slow: a machine with other work takes ten times as long.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    reporters: ["default", new PlanReporter()],
    expect: { poll: { timeout: 60_000 } },
    pool: "forks",
    // Tests wait more than they work, so that three do well on two cores.
    maxWorkers: Math.max(3, availableParallelism() - 1),
  },
});
