import { setImmediate } from "node:timers/promises";
import { steadyNow } from "../ops/clock.ts";
import { CellStore } from "./cell-store.ts";
import { KeyvBackend, type KeyvEntry, type KeyvStorage } from "./keyv-backend.ts";
import { ListedKeys } from "./listed-keys.ts";
import type { StoreOptions } from "./options.ts";
import { startSweeping } from "./sweep.ts";
import type { TaskStore } from "./task-store.ts";

/** Opens `memory:`, a store that is gone with the process. */
export function openMemoryStore(url: string, options: StoreOptions = {}): Promise<TaskStore> {
  const backend = new KeyvBackend(url, new MemoryStorage(options));
  return CellStore.open({ ...options, url, backend, isLasting: false });
}

/** A map for Keyv that also forgets what nobody reads again: Keyv notices that a key has expired only when it is read. */
export class MemoryStorage implements KeyvStorage {
  readonly #texts = new Map<string, { readonly text: string; readonly expiresAt: number }>();
  readonly #listed = new ListedKeys();
  readonly #clock: () => number;
  readonly #stopSweeping: () => Promise<void>;

  constructor({ clock = steadyNow, sweepEveryMs = 60_000 }: StoreOptions = {}) {
    this.#clock = clock;
    this.#stopSweeping = startSweeping(sweepEveryMs, (signal) => this.sweep(signal));
  }

  get size(): number {
    return this.#texts.size;
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

  set(key: string, text: string, ttlMs: number): void {
    if (!this.#texts.has(key)) this.#listed.add(key);
    this.#texts.set(key, { text, expiresAt: this.#clock() + ttlMs });
  }

  setMany(entries: readonly KeyvEntry[]): boolean[] {
    return entries.map(({ key, value, ttl }) => {
      this.set(key, value, ttl);
      return true;
    });
  }

  delete(key: string): boolean {
    const wasThere = this.#texts.delete(key);
    if (wasThere) this.#listed.delete(key);
    return wasThere;
  }

  clear(): void {
    this.#texts.clear();
    this.#listed.clear();
  }

  async disconnect(): Promise<void> {
    await this.#stopSweeping();
    this.clear();
  }

  /** Removes what has expired, a bounded number of keys at a stretch. */
  async sweep(signal?: AbortSignal): Promise<void> {
    let looked = 0;
    // A map may be changed while it is walked, also between two stretches.
    for (const [key, { expiresAt }] of this.#texts) {
      if (expiresAt <= this.#clock()) this.delete(key);
      if (++looked % KEYS_AT_A_STRETCH === 0) await setImmediate();
      if (signal?.aborted) return;
    }
  }
}

/** Well under a millisecond of walking. */
const KEYS_AT_A_STRETCH = 5_000;
