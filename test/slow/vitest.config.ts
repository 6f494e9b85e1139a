import { defineConfig } from "vitest/config";
import { LONG } from "../vitest.config.ts";

export default defineConfig({
  test: {
    include: ["test/slow/*.test.ts", ...LONG],
    testTimeout: 420_000,
    pool: "forks",
  },
});
