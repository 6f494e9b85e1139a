import type { KeyObject } from "node:crypto";
import type { Backend } from "./backend.ts";
import { isSealed, Keyring, type SealedValue } from "./keyring.ts";
import type { StoreOptions } from "./options.ts";
import { SealedBackend, type SealedBackendOptions } from "./sealed-backend.ts";

/** Records the store's encryption key, so that a wrong key fails at start and not with the first read of a task. */
const CHECK = "check:encryption";
/** Longer than any other value stays: ten years, counted from the first start with a key. */
const CHECK_TTL_MS = 3650 * 86_400_000;

/**
 * Wraps a backend that outlasts the process. With keys it encrypts: the first key writes, all keys read, and it rejects values that are
 * not encrypted, unless `acceptsPlaintext`. Without keys it writes plain values and rejects encrypted ones.
 *
 * Rejects with an `Error` that names the url when none of the keys opens the store, or there are no keys though the store is encrypted;
 * with `StoreUnavailable` when the store does not answer. It closes the backend then.
 */
export async function sealedOrPlain(
  backend: Backend,
  { encryptionKeys: keys, acceptsPlaintext }: Pick<StoreOptions, "encryptionKeys" | "acceptsPlaintext">,
  url: string,
): Promise<{ readonly backend: Backend; readonly isSealed: boolean }> {
  try {
    const sealed =
      keys === undefined
        ? await openPlain(backend, url)
        : await openSealed({ backend, url, acceptsPlaintext }, keys);
    return { backend: sealed, isSealed: keys !== undefined };
  } catch (error) {
    await backend.close();
    throw error;
  }
}

async function openPlain(backend: Backend, url: string): Promise<Backend> {
  const [check] = await backend.getMany([CHECK]);
  if (isSealed(check))
    throw new Error(
      `store ${url}: encryptionKeys: not given, and what is stored there is encrypted; give the keys, or begin with an empty store`,
    );
  return new SealedBackend({ url, backend });
}

async function openSealed(
  options: Omit<SealedBackendOptions, "keyring">,
  keys: readonly KeyObject[],
): Promise<Backend> {
  const { backend, url } = options;
  const keyring = new Keyring(keys);
  const sealed = new SealedBackend({ ...options, keyring });
  const mine = keyring.seal(CHECK, {});
  const standing = await backend.claim(CHECK, mine, CHECK_TTL_MS);
  if (isSealed(standing)) checkKeys(keyring, standing, url);
  // Records the new first key: the operator can drop the former one when no value is left that it encrypted.
  if (!isSealed(standing) || standing.kid !== keyring.current) await backend.set(CHECK, mine, CHECK_TTL_MS);
  return sealed;
}

function checkKeys(keyring: Keyring, standing: SealedValue, url: string): void {
  try {
    keyring.open(CHECK, standing);
  } catch {
    throw new Error(
      `store ${url}: encryptionKeys: none of the keys opens what is stored there; give the key that it was written with as well, or begin with an empty store`,
    );
  }
}
