import { createCipheriv, createDecipheriv, createHmac, type KeyObject, randomBytes } from "node:crypto";
import { cellOf, cellText } from "./cell-text.ts";

/** An encrypted value, all in base64url: the id of its key, random bytes of its own (salt and nonce), the ciphertext with its tag. */
export interface SealedValue {
  readonly kid: string;
  readonly iv: string;
  readonly data: string;
}

const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID_BYTES = 9;

/** The keys of a store: the first one encrypts, each of them decrypts. */
export class Keyring {
  /** The id of the first key: derived from the key, the same in every gateway, and it reveals nothing about the key. */
  readonly current: string;
  readonly #first: KeyObject;
  readonly #keys: ReadonlyMap<string, KeyObject>;

  /** @param keys secret keys of 32 bytes, one or more */
  constructor(keys: readonly KeyObject[]) {
    const [first] = keys;
    if (first === undefined || keys.some((key) => key.symmetricKeySize !== KEY_BYTES))
      throw new Error(`encryption keys must be one or more, of ${KEY_BYTES} bytes each`);
    this.#first = first;
    this.#keys = new Map(keys.map((key) => [idOf(key), key]));
    this.current = idOf(first);
  }

  has(kid: string): boolean {
    return this.#keys.has(kid);
  }

  /**
   * Encrypts a cell with AES-256-GCM, under a key derived for this value alone: with 96-bit nonces one key must not encrypt more than
   * some four billion values, which a busy store writes in a few weeks.
   * @param name the cell's key; `open` needs the same
   */
  seal(name: string, value: object): SealedValue {
    const iv = randomBytes(SALT_BYTES + NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, derived(this.#first, iv), nonceOf(iv), {
      authTagLength: TAG_BYTES,
    });
    cipher.setAAD(Buffer.from(name));
    const data = [cipher.update(cellText(value), "utf8"), cipher.final(), cipher.getAuthTag()];
    return {
      kid: this.current,
      iv: iv.toString("base64url"),
      data: Buffer.concat(data).toString("base64url"),
    };
  }

  /** Decrypts a cell. @throws when its key is not in this keyring, its name differs, or somebody has changed the value */
  open(name: string, { kid, ...sealed }: SealedValue): unknown {
    const key = this.#keys.get(kid);
    if (key === undefined) throw new Error("no such key");
    const [iv, data] = [Buffer.from(sealed.iv, "base64url"), Buffer.from(sealed.data, "base64url")];
    const decipher = createDecipheriv(CIPHER, derived(key, iv), nonceOf(iv), { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(name));
    const end = Math.max(0, data.length - TAG_BYTES);
    decipher.setAuthTag(data.subarray(end));
    return cellOf(Buffer.concat([decipher.update(data.subarray(0, end)), decipher.final()]).toString("utf8"));
  }
}

/** No other value of the store has exactly these members. */
export function isSealed(value: unknown): value is SealedValue {
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 3) return false;
  const { kid, iv, data } = value as Partial<Record<string, unknown>>;
  return typeof kid === "string" && typeof iv === "string" && typeof data === "string";
}

function idOf(key: KeyObject): string {
  const id = createHmac("sha256", key).update("mcp-taskgate key id").digest();
  return id.toString("base64url", 0, KEY_ID_BYTES);
}

/** The salt differs in length from the text that `idOf` hashes, so that a key id never reveals part of a value's key. */
function derived(key: KeyObject, iv: Buffer): Buffer {
  return createHmac("sha256", key).update(iv.subarray(0, SALT_BYTES)).digest();
}

const nonceOf = (iv: Buffer) => iv.subarray(SALT_BYTES);
