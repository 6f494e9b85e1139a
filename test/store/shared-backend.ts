import type { Backend } from "../../src/store/backend.ts";
import { CellStore } from "../../src/store/cell-store.ts";
import { KeyvBackend } from "../../src/store/keyv-backend.ts";
import { MemoryStorage } from "../../src/store/memory.ts";
import type { StoreOptions } from "../../src/store/options.ts";
import { type Nudge, StoreUnavailable } from "../../src/store/task-store.ts";

/** How one replica finds its store, and the other replicas theirs as ever. */
export interface Access {
  /** The store is away. */
  isCut: boolean;
  /** The store can be read, and takes nothing. */
  isFull: boolean;
  /** The store does what it is told, but its replies do not arrive. */
  isDeaf: boolean;
  /** How many writes it takes yet. */
  writesLeft: number;
  /** How many operations were refused, or remained without a reply. */
  refused: number;
}

const LATE_TTL_MS = 60_000;

/** A store in memory that several replicas use, as if each were a process of its own. */
export class SharedMemory {
  readonly #storage = new MemoryStorage();
  readonly #backend = new KeyvBackend("shared:", this.#storage);
  readonly #stores: CellStore[] = [];

  /** Another replica. */
  async replica({
    leaseMs = 60_000,
    ...more
  }: StoreOptions = {}): Promise<{ store: CellStore; access: Access }> {
    const access: Access = { isCut: false, isFull: false, isDeaf: false, writesLeft: Infinity, refused: 0 };
    const store = await CellStore.open({ url: "shared:", backend: this.#seenBy(access), leaseMs, ...more });
    this.#stores.push(store);
    return { store, access };
  }

  /** As a write would do that was given up, and arrives after all. */
  write(key: string, value: object): Promise<void> {
    return this.#backend.set(key, value, LATE_TTL_MS);
  }

  /** As its time would do. */
  forget(key: string): void {
    this.#storage.delete(key);
  }

  /** As a disk would do that loses bits. */
  damage(key: string): void {
    this.#storage.set(key, "{ torn", LATE_TTL_MS);
  }

  /** As somebody else would who takes the member to be gone. */
  unlist(list: string, member: string): Promise<void> {
    return this.#backend.unlist(list, member);
  }

  /** Tells every replica that can hear it. */
  publish(nudge: Nudge): void {
    this.#backend.publish(nudge);
  }

  async close(): Promise<void> {
    for (const store of this.#stores) await store.close();
    await this.#backend.close();
  }

  #seenBy(access: Access): Backend {
    const backend = this.#backend;
    const refuse = (why: string) => {
      access.refused += 1;
      throw new StoreUnavailable(why);
    };
    const guarded =
      <Given extends unknown[], T>(work: (...given: Given) => Promise<T>) =>
      async (...given: Given): Promise<T> => {
        if (access.isCut) refuse("cut off");
        const reply = await work(...given);
        if (access.isDeaf) refuse("no reply");
        return reply;
      };
    const writing = <Given extends unknown[], T>(work: (...given: Given) => Promise<T>) =>
      guarded((...given: Given) => {
        if (access.isFull || access.writesLeft <= 0) refuse("full");
        access.writesLeft -= 1;
        return work(...given);
      });
    return {
      isShared: true,
      getMany: guarded((keys) => backend.getMany(keys)),
      set: writing((...given) => backend.set(...given)),
      claim: writing((...given) => backend.claim(...given)),
      list: guarded((...given) => backend.list(...given)),
      listBack: guarded((...given) => backend.listBack(...given)),
      unlist: writing((...given) => backend.unlist(...given)),
      publish: (nudge) => {
        if (!access.isCut) backend.publish(nudge);
      },
      watch: (listener) => backend.watch((nudge) => !access.isCut && listener(nudge)),
      close: async () => undefined,
    };
  }
}
