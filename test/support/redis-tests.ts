/** A Redis for tests: it stops when they end, and where there is none they say so. */

import { onTestFinished } from "vitest";
import { type RedisServer, type RedisServerOptions, startRedis } from "./redis.ts";
import { withoutPrograms } from "./required-programs.ts";

/** Starts a Redis that stops when the test ends. A suite that shares one collects the clean-up for `afterAll` (`atEnd`). */
export async function redisForTest(
  options: RedisServerOptions & { readonly atEnd?: (cleanUp: () => Promise<void>) => void } = {},
): Promise<RedisServer> {
  const { atEnd = onTestFinished, ...rest } = options;
  const server = await startRedis(rest);
  atEnd(() => server.stop());
  return server;
}

/** As `withoutPrograms`, for tests that need a Redis, and other programs of it. */
export function withoutRedis(what: string, ...others: readonly string[]): boolean {
  return withoutPrograms(what, "redis-server", ...others);
}
