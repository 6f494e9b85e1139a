import type { Backend } from "../../src/stores/backend.ts";
import { CellStore } from "../../src/stores/cell-store.ts";
import { KeyvBackend } from "../../src/stores/keyv-backend.ts";
import { MemoryStorage } from "../../src/stores/memory.ts";
import { type Nudge, StoreUnavailable } from "../../src/stores/task-store.ts";

/** A store in memory that several replicas use, as if each were a process of its own. */
export class SharedMemory {
  readonly #storage = new MemoryStorage();
  readonly #backend = new KeyvBackend("shared:", this.#storage);
  readonly #stores: CellStore[] = [];

  /** Another replica. `access.isCut`: for it alone the store is away. */
  async replica({ leaseMs = 60_000 } = {}): Promise<{ store: CellStore; access: { isCut: boolean } }> {
    const access = { isCut: false };
    const store = await CellStore.open({ url: "shared:", backend: this.#seenBy(access), leaseMs });
    this.#stores.push(store);
    return { store, access };
  }

  /** As its time would do. */
  forget(key: string): void {
    this.#storage.delete(key);
  }

  /** Tells every replica that can hear it. */
  publish(nudge: Nudge): void {
    this.#backend.publish(nudge);
  }

  async close(): Promise<void> {
    for (const store of this.#stores) await store.close();
    await this.#backend.close();
  }

  #seenBy(access: { isCut: boolean }): Backend {
    const backend = this.#backend;
    const guarded =
      <Given extends unknown[], T>(work: (...given: Given) => Promise<T>) =>
      async (...given: Given): Promise<T> => {
        if (access.isCut) throw new StoreUnavailable("cut off");
        return work(...given);
      };
    return {
      isShared: true,
      getMany: guarded((keys) => backend.getMany(keys)),
      set: guarded((...given) => backend.set(...given)),
      claim: guarded((...given) => backend.claim(...given)),
      list: guarded((...given) => backend.list(...given)),
      unlist: guarded((...given) => backend.unlist(...given)),
      publish: (nudge) => {
        if (!access.isCut) backend.publish(nudge);
      },
      watch: (listener) => backend.watch((nudge) => !access.isCut && listener(nudge)),
      close: async () => undefined,
    };
  }
}
