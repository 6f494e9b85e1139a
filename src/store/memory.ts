import { setImmediate } from "node:timers/promises";
import { getHeapStatistics } from "node:v8";
import { steadyNow } from "../lib/clock.ts";
import { tellClockSteps } from "../lib/wall-clock.ts";
import { CellStore } from "./cell-store.ts";
import { KeyvBackend, type KeyvEntry, type KeyvStorage } from "./keyv-backend.ts";
import { ListedKeys } from "./listed-keys.ts";
import type { StoreOptions } from "./options.ts";
import { startSweeping } from "./sweep.ts";
import type { TaskStore } from "./task-store.ts";

/** Opens `memory:`, a store that ends with the process. */
export function openMemoryStore(url: string, options: MemoryOptions = {}): Promise<TaskStore> {
  const storage = new MemoryStorage(options);
  const backend = new KeyvBackend(url, storage);
  const stopTelling = tellClockSteps((message) => options.warn?.(`store ${url}: ${message}`));
  const closing = async () => stopTelling();
  return CellStore.open({
    ...options,
    url,
    backend,
    isLasting: false,
    heldBytes: () => storage.bytes,
    closing,
  });
}

export interface MemoryOptions extends StoreOptions {
  /** Above so many bytes the store accepts only small texts; absent: three eighths of the heap's limit. */
  readonly maxBytes?: number;
}

/** About what a cell takes beside its key and text: the map entry, the expiry, and the headers of two strings. */
const CELL_BYTES = 256;
/** Enough for anything that the gateway has to tell a client about a task's end. */
const SMALL_BYTES = 4_096;

/** A map for Keyv that also removes expired keys that nobody reads: Keyv notices an expiry only when it reads the key. */
export class MemoryStorage implements KeyvStorage {
  readonly #texts = new Map<string, MemoryCell>();
  readonly #listed = new ListedKeys();
  readonly #clock: () => number;
  readonly #maxBytes: number;
  readonly #stopSweeping: () => Promise<void>;
  #bytes = 0;

  constructor(options: MemoryOptions = {}) {
    const { clock = steadyNow, sweepEveryMs = 60_000 } = options;
    this.#clock = clock;
    this.#maxBytes = options.maxBytes ?? getHeapStatistics().heap_size_limit * (3 / 8);
    this.#stopSweeping = startSweeping(sweepEveryMs, (signal) => this.sweep(signal));
  }

  get size(): number {
    return this.#texts.size;
  }

  /** About how many bytes of memory the cells take. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): string | undefined {
    return this.#texts.get(key)?.text;
  }

  getMany(keys: readonly string[]): (string | undefined)[] {
    return keys.map((key) => this.get(key));
  }

  keysAfter(key: string, limit: number): readonly string[] {
    return this.#listed.after(key, limit);
  }

  keysBefore(key: string, limit: number): readonly string[] {
    return this.#listed.before(key, limit);
  }

  /** @throws RangeError when there is no room for a text of this size: one task fails, instead of the process for lack of heap */
  set(key: string, text: string, ttlMs: number): void {
    const before = this.#texts.get(key);
    const bytes = CELL_BYTES + key.length + Buffer.byteLength(text);
    const grown = this.#bytes + bytes - (before?.bytes ?? 0);
    if (bytes > SMALL_BYTES && grown > this.#maxBytes) throw new RangeError("no more memory for large texts");
    if (before === undefined) this.#listed.add(key);
    this.#bytes = grown;
    this.#texts.set(key, { text, bytes, expiresAt: this.#clock() + ttlMs });
  }

  setMany(entries: readonly KeyvEntry[], gone: readonly string[] = []): boolean[] {
    for (const { key, value, ttl } of entries) this.set(key, value, ttl);
    for (const key of gone) this.delete(key);
    return entries.map(() => true);
  }

  delete(key: string): boolean {
    const cell = this.#texts.get(key);
    if (cell === undefined) return false;
    this.#bytes -= cell.bytes;
    this.#listed.delete(key);
    return this.#texts.delete(key);
  }

  clear(): void {
    this.#texts.clear();
    this.#bytes = 0;
    this.#listed.clear();
  }

  async disconnect(): Promise<void> {
    await this.#stopSweeping();
    this.clear();
  }

  /** Removes expired keys, a bounded number at a stretch. */
  async sweep(signal?: AbortSignal): Promise<void> {
    let looked = 0;
    // Other code may change the map during the iteration.
    for (const [key, { expiresAt }] of this.#texts) {
      if (expiresAt <= this.#clock()) this.delete(key);
      if (++looked % KEYS_AT_A_STRETCH === 0) await setImmediate();
      if (signal?.aborted) return;
    }
  }
}

interface MemoryCell {
  readonly text: string;
  readonly bytes: number;
  readonly expiresAt: number;
}

/** Well under a millisecond of walking. */
const KEYS_AT_A_STRETCH = 5_000;
