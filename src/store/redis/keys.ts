/**
 * The key of a cell in Redis. In a cluster the text between the first braces determines a key's slot: all cells of one task, whose keys
 * have its id after the first colon, are in one slot, so that one command can read them together.
 *
 * `task:ID`, `own:ID:1` and `in:ID:KEY` become `task:{ID}`, `own:{ID}:1` and `in:{ID}:KEY`, each after the prefix, which has no braces.
 */
export function redisKey(prefix: string, key: string): string {
  const begin = key.indexOf(":") + 1;
  const colon = key.indexOf(":", begin);
  const end = colon === -1 ? key.length : colon;
  return `${prefix}${key.slice(0, begin)}{${key.slice(begin, end)}}${key.slice(end)}`;
}

/** The keys of a list's two sorted sets, in one slot: its members in order, and its members by expiry. */
export function redisListKeys(
  prefix: string,
  list: string,
): { readonly members: string; readonly ends: string } {
  return { members: `${prefix}list:{${list}}`, ends: `${prefix}ends:{${list}}` };
}

/** The channel for nudges between replicas. */
export function redisChannel(prefix: string): string {
  return `${prefix}nudges`;
}
