import type { Backend, ListEntry } from "./backend.ts";
import { isSealed, type Keyring, type SealedValue } from "./keyring.ts";
import { type Nudge, StoreUnavailable, UnreadableValue } from "./task-store.ts";

export interface SealedBackendOptions {
  /** Names the store in messages. */
  readonly url: string;
  readonly backend: Backend;
  /** Absent: values are written as they are, and those that somebody else has sealed are refused. */
  readonly keyring?: Keyring | undefined;
  /** Whether, with a keyring, values that are not encrypted are read all the same. */
  readonly acceptsPlaintext?: boolean | undefined;
}

/**
 * A backend whose values nobody can read who has not got the key. Each is encrypted whole, and opens only under the name
 * that it was written under, which is additional authenticated data. Names and members of lists are no secrets and stay as they are.
 *
 * It keeps values from being read and from being made up, not from being removed or replaced by what stood under the same name before:
 * whoever can write to the store can do that. With a keyring a value that is not encrypted is not believed, whatever it is, unless
 * `acceptsPlaintext`: somebody without a key may have put it there, a call for example that would be sent with the operator's headers.
 * Members of lists and nudges are hints: what they point to is a value, which has to open.
 *
 * Encrypting is synchronous work, some milliseconds for each megabyte, and adds a third to the size of a value; `maxResultBytes`
 * is the limit of both. Rejects with `UnreadableValue` when a value cannot be opened, and says why.
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
  ): Promise<unknown> {
    const mine = this.#sealed(key, value);
    const standing = await this.#backend.claim(key, mine, ttlMs, entries);
    // What was drawn for a value tells it from every other.
    const isMine = standing === mine || (isSealed(standing) && isSealed(mine) && standing.iv === mine.iv);
    return isMine ? value : this.#opened(key, standing);
  }

  list(list: string, after: string, limit: number): Promise<readonly string[]> {
    return this.#backend.list(list, after, limit);
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
      // A text can be too long for one string once it is encrypted.
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

  /** The cause is left out: what is said of a text that is no JSON quotes it. */
  #unreadable({ kid }: SealedValue, why: string): UnreadableValue {
    // Whoever can write to the store may have put anything there.
    const name = KEY_ID.test(kid) ? kid : "of no name";
    return new UnreadableValue(`store ${this.#url}: a value is encrypted with key ${name}, ${why}`);
  }
}

const KEY_ID = /^[\w-]{1,32}$/;
