import { mergeConfig } from "vitest/config";
import usual from "../vitest.config.ts";

/** The tests for another Node: all but those that are mostly about the programs of others, and those of what only looks at them. */
export default mergeConfig(usual, {
  test: {
    exclude: [
      "test/conformance/**",
      "test/real/legacy-clients*.test.ts",
      "test/real/inspector.test.ts",
      "test/front/sdk.test.ts",
      "test/gateway/paired/clients.test.ts",
      "test/inspect/**",
      "test/cli/inspect.test.ts",
    ],
  },
});
