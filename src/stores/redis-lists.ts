import type { ListEntry } from "./backend.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { redisListKeys } from "./redis-keys.ts";

/** Members stay so much longer than their time, for replicas whose clocks differ. */
const GRACE_MS = 3_600_000;
/** What is over is taken out by those who add: more at a time than can be added meanwhile. */
const MAX_REMOVED = 8;

/**
 * Puts a member into a list. Its commands are sent in this order, and what is sent after this call comes after them:
 * should it end in between, there is a time without a member, or a member without a value.
 *
 * Resolves with members whose time is over, a few at a time. `now` is in milliseconds since the epoch.
 */
export async function addToList(
  { commands }: RedisConnection,
  prefix: string,
  { list, member, ttlMs }: ListEntry,
  now: number,
): Promise<readonly string[]> {
  const { members, ends } = redisListKeys(prefix, list);
  const stayMs = ttlMs + GRACE_MS;
  const over = { LIMIT: { offset: 0, count: MAX_REMOVED } };
  const sent = [
    commands.zAdd(ends, { score: now + stayMs, value: member }),
    commands.zAdd(members, { score: 0, value: member }),
    // A key that does not expire yet counts as one that never does, which `GT` does not shorten.
    ...[ends, members].flatMap((key) => [
      commands.pExpire(key, stayMs, "NX"),
      commands.pExpire(key, stayMs, "GT"),
    ]),
  ];
  const found = commands.zRangeByScore(ends, "-inf", now, over);
  await Promise.all([...sent, found]);
  return found;
}

/** Takes members out. First from the order, so that what is left when it ends in between is found again by its time. */
export async function removeFromList(
  { commands }: RedisConnection,
  prefix: string,
  list: string,
  gone: readonly string[],
): Promise<void> {
  const { members, ends } = redisListKeys(prefix, list);
  await Promise.all([commands.zRem(members, [...gone]), commands.zRem(ends, [...gone])]);
}

/** The members after `after`, in the order of their bytes, at most `limit`. */
export function listMembers(
  { commands }: RedisConnection,
  prefix: string,
  list: string,
  after: string,
  limit: number,
): Promise<string[]> {
  const { members } = redisListKeys(prefix, list);
  const page = { BY: "LEX", LIMIT: { offset: 0, count: limit } } as const;
  return commands.zRange(members, after === "" ? "-" : `(${after}`, "+", page);
}
