import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { IMAGE } from "../plan.ts";

export default defineConfig({
  root: resolve(import.meta.dirname, "../.."),
  test: {
    include: IMAGE,
    globalSetup: "test/image/run/setup.ts",
    testTimeout: 420_000,
    pool: "forks",
    fileParallelism: false,
  },
});
