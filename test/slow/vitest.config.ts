import { defineConfig } from "vitest/config";
import { SLOW } from "../plan.ts";

export default defineConfig({
  test: {
    include: SLOW,
    testTimeout: 420_000,
    pool: "forks",
  },
});
