import { defineConfig } from "vitest/config";

// biome-ignore lint/style/noDefaultExport: it is where vitest looks for its configuration
export default defineConfig({
  test: {
    include: ["test/slow/*.test.ts"],
    testTimeout: 420_000,
    pool: "forks",
  },
});
