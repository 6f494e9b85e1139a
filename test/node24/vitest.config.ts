import { mergeConfig } from "vitest/config";
import usual from "../vitest.config.ts";

/**
 * The tests for another Node: those of what Node itself has a part in, connections, streams and files. Not those that are mostly
 * about the programs of others, that kill gateways over and over, or that read a configuration.
 */
export default mergeConfig(usual, {
  test: {
    exclude: [
      "test/cli/**",
      "test/config/**",
      "test/conformance/**",
      "test/differential/**",
      "test/front/**",
      "test/gateway/paired/clients.test.ts",
      "test/inspect/**",
      "test/real/**",
      "test/survival/**",
      "test/upstreams/rejoin-npm.test.ts",
      "test/stores/redis-cluster.test.ts",
    ],
  },
});
