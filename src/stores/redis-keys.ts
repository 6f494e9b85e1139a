/**
 * The key of a cell in Redis. In a cluster a key's slot is that of what stands between its first braces: all cells of one task, whose
 * keys have its id after their first colon, are in one slot, so that they can be read together.
 *
 * `task:ID`, `own:ID:1` and `in:ID:KEY` become `task:{ID}`, `own:{ID}:1` and `in:{ID}:KEY`, each after the prefix, which has no braces.
 */
export function redisKey(prefix: string, key: string): string {
  const begin = key.indexOf(":") + 1;
  const colon = key.indexOf(":", begin);
  const end = colon === -1 ? key.length : colon;
  return `${prefix}${key.slice(0, begin)}{${key.slice(begin, end)}}${key.slice(end)}`;
}

/** The two sorted sets of a list, which are in one slot: its members in order, and the same by the end of their time. */
export function redisListKeys(
  prefix: string,
  list: string,
): { readonly members: string; readonly ends: string } {
  return { members: `${prefix}list:{${list}}`, ends: `${prefix}ends:{${list}}` };
}

/** The channel on which replicas tell each other of changes. */
export function redisChannel(prefix: string): string {
  return `${prefix}nudges`;
}
