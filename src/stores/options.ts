import type { KeyObject } from "node:crypto";
import type { TaskId } from "./task-store.ts";

/** How long a replica is taken to be alive unless something else is said. */
export const DEFAULT_LEASE_MS = 15_000;

/** What a store takes beside its url. All of it has a default. */
export interface StoreOptions {
  /** Milliseconds since the epoch. Judges every expiry. */
  readonly clock?: (() => number) | undefined;
  /** 128 bits or more of randomness in the letters of base64url, at most 128 of them. */
  readonly newId?: (() => TaskId) | undefined;
  /** How long a replica is taken to be alive after it was last heard of, where there can be others. Milliseconds. */
  readonly leaseMs?: number | undefined;
  /** How often expired keys are looked for. Milliseconds. */
  readonly sweepEveryMs?: number | undefined;
  /** How long a server may take to answer, and to be connected to. Milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** What every key on a server begins with; no braces. */
  readonly prefix?: string | undefined;
  readonly tls?: StoreTls | undefined;
  /** Encrypts what lasts: the first key writes, all are read. Absent: it is kept as it is. */
  readonly encryptionKeys?: readonly KeyObject[] | undefined;
  /** With keys: whether what is not encrypted is read all the same, for the time of a migration. */
  readonly acceptsPlaintext?: boolean | undefined;
  /** Is told what the store should be like and is not. */
  readonly warn?: ((message: string) => void) | undefined;
}

/** How to trust a server, and to be trusted by it. Certificates and keys as PEM. */
export interface StoreTls {
  /** Who may have signed the server's certificate, instead of those whom Node trusts. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The name that the certificate has to be for; absent: that of the url. */
  readonly servername?: string | undefined;
}
