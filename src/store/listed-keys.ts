const LISTED = "list:";

/** The key of a list's member; members have no colons. */
export function listedKey(list: string, member: string): string {
  return `${LISTED}${list}:${member}`;
}

/** The prefix that all keys of the key's list share; `undefined` for a key that is in no list. */
export function listPrefix(key: string): string | undefined {
  return key.startsWith(LISTED) ? key.slice(0, key.lastIndexOf(":") + 1) : undefined;
}

/** The ordered keys of lists, for a storage without order. Ignores other keys. */
export class ListedKeys {
  readonly #lists = new Map<string, OrderedKeys>();

  add(key: string): void {
    const prefix = listPrefix(key);
    if (prefix === undefined) return;
    const list = this.#lists.get(prefix) ?? new OrderedKeys();
    this.#lists.set(prefix, list);
    list.add(key);
  }

  /** Removes a key, which must have been added. */
  delete(key: string): void {
    const prefix = listPrefix(key);
    if (prefix === undefined) return;
    const list = this.#lists.get(prefix);
    list?.delete(key);
    if (list?.isEmpty) this.#lists.delete(prefix);
  }

  /** The keys after `key` in its list, at most `limit`; `key` itself need not be there. */
  after(key: string, limit: number): string[] {
    return this.#lists.get(listPrefix(key) ?? "")?.after(key, limit) ?? [];
  }

  /** The keys before `key` in its list, the last first, at most `limit`; `key` itself need not be there. */
  before(key: string, limit: number): string[] {
    return this.#lists.get(listPrefix(key) ?? "")?.before(key, limit) ?? [];
  }

  clear(): void {
    this.#lists.clear();
  }
}

/**
 * A sorted array, for keys that arrive nearly in order. `delete` at first only marks a key: closing the gap each time would move every
 * key behind it.
 */
class OrderedKeys {
  #keys: string[] = [];
  readonly #gone = new Set<string>();

  get isEmpty(): boolean {
    return this.#keys.length === this.#gone.size;
  }

  add(key: string): void {
    if (this.#gone.delete(key)) return;
    const index = this.#indexAfter(key);
    if (this.#keys[index - 1] !== key) this.#keys.splice(index, 0, key);
  }

  delete(key: string): void {
    this.#gone.add(key);
    if (this.#gone.size * MAX_GONE_SHARE < this.#keys.length) return;
    this.#keys = this.#keys.filter((kept) => !this.#gone.has(kept));
    this.#gone.clear();
  }

  after(key: string, limit: number): string[] {
    const found: string[] = [];
    for (let index = this.#indexAfter(key); index < this.#keys.length && found.length < limit; index++) {
      const next = this.#keys[index];
      if (next !== undefined && !this.#gone.has(next)) found.push(next);
    }
    return found;
  }

  before(key: string, limit: number): string[] {
    const found: string[] = [];
    const at = this.#indexAfter(key);
    for (
      let index = this.#keys[at - 1] === key ? at - 2 : at - 1;
      index >= 0 && found.length < limit;
      index--
    ) {
      const next = this.#keys[index];
      if (next !== undefined && !this.#gone.has(next)) found.push(next);
    }
    return found;
  }

  /** How many keys are not after `key`. */
  #indexAfter(key: string): number {
    let [low, high] = [0, this.#keys.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] ?? key) <= key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** One key in eight: a page skips no more than that, and closing the gaps costs eight looks per deleted key. */
const MAX_GONE_SHARE = 8;
