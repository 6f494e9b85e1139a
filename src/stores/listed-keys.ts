const LISTED = "list:";

/** A key of a member of a list; members have no colons. */
export function listedKey(list: string, member: string): string {
  return `${LISTED}${list}:${member}`;
}

/** What the keys of a list begin with, for one of them; `undefined` for a key that is in no list. */
export function listPrefix(key: string): string | undefined {
  return key.startsWith(LISTED) ? key.slice(0, key.lastIndexOf(":") + 1) : undefined;
}

/** The keys of lists, in order, for a storage that has no order of its own. Other keys leave no trace. */
export class ListedKeys {
  readonly #lists = new Map<string, OrderedKeys>();

  add(key: string): void {
    const prefix = listPrefix(key);
    if (prefix === undefined) return;
    const list = this.#lists.get(prefix) ?? new OrderedKeys();
    this.#lists.set(prefix, list);
    list.add(key);
  }

  /** Takes out a key that was added. */
  delete(key: string): void {
    const prefix = listPrefix(key);
    if (prefix === undefined) return;
    const list = this.#lists.get(prefix);
    list?.delete(key);
    if (list?.isEmpty) this.#lists.delete(prefix);
  }

  /** Of the list that `key` would be in: the keys after it, at most `limit`. */
  after(key: string, limit: number): string[] {
    return this.#lists.get(listPrefix(key) ?? "")?.after(key, limit) ?? [];
  }

  clear(): void {
    this.#lists.clear();
  }
}

/**
 * Made for keys that come nearly in order. What goes is only marked at first: to close the gap for each would be to move all
 * that stand behind it, every time.
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

/** One in eight: a page passes over no more than that, and each that goes has cost eight looks once the gaps are closed. */
const MAX_GONE_SHARE = 8;
