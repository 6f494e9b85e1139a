import type { Backend, ListEntry, Spent } from "./backend.ts";
import { isSealed, type Keyring, type SealedValue } from "./keyring.ts";
import { type Nudge, StoreUnavailable, UnreadableValue } from "./task-store.ts";

export interface SealedBackendOptions {
  /** Names the store in messages. */
  readonly url: string;
  readonly backend: Backend;
  /** Absent: the backend writes plain values and rejects sealed ones. */
  readonly keyring?: Keyring | undefined;
  /** With a keyring: whether the backend also reads values that are not encrypted. */
  readonly acceptsPlaintext?: boolean | undefined;
}

/**
 * A backend whose values only the holder of a key can read. It encrypts each value whole; a value opens only under the key name that it
 * was written under, which is additional authenticated data. Key names and list members are no secrets and stay plain.
 *
 * It protects values from being read and forged. It does not keep a writer to the store from removing a value or restoring an older one
 * of the same name. With a keyring it rejects every value that is not encrypted, unless `acceptsPlaintext`: somebody without a key may
 * have written it, for example a call that the gateway would send with the operator's headers. List members and nudges are hints: they
 * point to values, which have to open.
 *
 * Encryption is synchronous, takes some milliseconds per megabyte and adds a third to a value's size; `maxResultBytes` bounds both.
 * Rejects with `UnreadableValue`, and the reason, when a value does not open.
 */
export class SealedBackend implements Backend {
  readonly #url: string;
  readonly #backend: Backend;
  readonly #keyring: Keyring | undefined;
  readonly #acceptsPlaintext: boolean;

  constructor({ url, backend, keyring, acceptsPlaintext = false }: SealedBackendOptions) {
    this.#url = url;
    this.#backend = backend;
    this.#keyring = keyring;
    this.#acceptsPlaintext = keyring === undefined || acceptsPlaintext;
  }

  get isShared(): boolean {
    return this.#backend.isShared;
  }

  get isWritable(): boolean {
    return this.#backend.isWritable ?? true;
  }

  async getMany(keys: readonly string[]): Promise<readonly unknown[]> {
    const values = await this.#backend.getMany(keys);
    return values.map((value, index) => this.#opened(keys[index] ?? "", value));
  }

  async set(key: string, value: object, ttlMs: number, entries: readonly ListEntry[] = []): Promise<void> {
    await this.#backend.set(key, this.#sealed(key, value), ttlMs, entries);
  }

  async claim(
    key: string,
    value: object,
    ttlMs: number,
    entries: readonly ListEntry[] = [],
    spent?: Spent,
  ): Promise<unknown> {
    const mine = this.#sealed(key, value);
    const standing = await this.#backend.claim(key, mine, ttlMs, entries, spent);
    // The random `iv` identifies a value.
    const isMine = standing === mine || (isSealed(standing) && isSealed(mine) && standing.iv === mine.iv);
    return isMine ? value : this.#opened(key, standing);
  }

  list(list: string, after: string, limit: number): Promise<readonly string[]> {
    return this.#backend.list(list, after, limit);
  }

  listBack(list: string, before: string, limit: number): Promise<readonly string[]> {
    return this.#backend.listBack(list, before, limit);
  }

  unlist(list: string, member: string): Promise<void> {
    return this.#backend.unlist(list, member);
  }

  publish(nudge: Nudge): void {
    this.#backend.publish(nudge);
  }

  watch(listener: (nudge: Nudge) => void): () => void {
    return this.#backend.watch(listener);
  }

  close(): Promise<void> {
    return this.#backend.close();
  }

  #sealed(key: string, value: object): object {
    if (this.#keyring === undefined) return value;
    try {
      return this.#keyring.seal(key, value);
    } catch (cause) {
      // An encrypted text can be too long for one string.
      throw new StoreUnavailable(`store ${this.#url}: a value could not be encrypted`, { cause });
    }
  }

  #opened(key: string, value: unknown): unknown {
    if (value === undefined) return undefined;
    if (!isSealed(value)) {
      if (this.#acceptsPlaintext) return value;
      throw new UnreadableValue(
        `store ${this.#url}: a value is not encrypted, and is not believed without store.acceptPlaintext`,
      );
    }
    if (!this.#keyring?.has(value.kid)) throw this.#unreadable(value, this.#missing());
    try {
      return this.#keyring.open(key, value);
    } catch {
      throw this.#unreadable(value, "which does not open it: it is not what was written there");
    }
  }

  #missing(): string {
    return this.#keyring === undefined
      ? "and there are no encryptionKeys"
      : "which is none of the encryptionKeys";
  }

  /** Without the cause: the message of a JSON error quotes the text. */
  #unreadable({ kid }: SealedValue, why: string): UnreadableValue {
    // Any writer to the store may have chosen this text.
    const name = KEY_ID.test(kid) ? kid : "of no name";
    return new UnreadableValue(`store ${this.#url}: a value is encrypted with key ${name}, ${why}`);
  }
}

const KEY_ID = /^[\w-]{1,32}$/;
