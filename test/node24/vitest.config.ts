import { mergeConfig } from "vitest/config";
import usual from "../vitest.config.ts";

/** The tests for another Node: those of what Node itself has most part in, connections, streams, processes and files. */
export default mergeConfig(
  { ...usual, test: { ...usual.test, include: [] } },
  {
    test: {
      include: [
        "test/edge/**/*.test.ts",
        "test/gateway/transparent/**/*.test.ts",
        "test/gateway/draining*.test.ts",
        "test/gateway/mrtr*.test.ts",
        "test/gateway/tasks*.test.ts",
        "test/stores/**/*.test.ts",
        "test/tasks/**/*.test.ts",
        "test/upstreams/child*.test.ts",
        "test/upstreams/rejoin.test.ts",
        "test/upstreams/upstream-streamable-http.test.ts",
        "test/wire/**/*.test.ts",
      ],
      exclude: ["test/stores/redis-cluster.test.ts"],
    },
  },
);
