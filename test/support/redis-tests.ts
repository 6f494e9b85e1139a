/** A Redis for tests: it stops when they end, and where there is none they say so. */

import { onTestFinished } from "vitest";
import { type RedisServer, type RedisServerOptions, redisMissing, startRedis } from "./redis.ts";

/** Starts a Redis that stops when the test ends. A suite that shares one collects the clean-up for `afterAll` (`atEnd`). */
export async function redisForTest(
  options: RedisServerOptions & { readonly atEnd?: (cleanUp: () => Promise<void>) => void } = {},
): Promise<RedisServer> {
  const { atEnd = onTestFinished, ...rest } = options;
  const server = await startRedis(rest);
  atEnd(() => server.stop());
  return server;
}

/**
 * Whether tests that need a Redis have to be skipped, for `describe.skipIf`. Says so loudly: a test that quietly did not run looks like one
 * that passed. In CI it is an error.
 */
export function withoutRedis(what: string, ...others: readonly string[]): boolean {
  const reason = redisMissing(...others);
  if (reason === undefined) return false;
  const message = `${what}: not run, because ${reason}`;
  if (process.env.CI) throw new Error(message);
  console.warn(message);
  return true;
}
