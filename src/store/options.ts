import type { KeyObject } from "node:crypto";
import type { Subscribers } from "./outbox.ts";
import type { ReplicaFacts, TaskId } from "./task-store.ts";

/** The default `leaseMs`. */
export const DEFAULT_LEASE_MS = 15_000;

/** What a store takes beside its url. Every option has a default. */
export interface StoreOptions {
  /** Milliseconds since the epoch. Judges every expiry. */
  readonly clock?: (() => number) | undefined;
  /** Returns 128 or more random bits in at most 128 base64url characters. */
  readonly newId?: (() => TaskId) | undefined;
  /** On a shared store: how long a replica counts as alive after its last heartbeat. Milliseconds. */
  readonly leaseMs?: number | undefined;
  /** Whether to keep an index of all tasks, for operators: one more key for each task. Absent: no. */
  readonly isIndexed?: boolean | undefined;
  /** Who is told of what happens to tasks: the store keeps the deliveries with the tasks (`outbox.ts`). Absent: nobody. */
  readonly subscribers?: Subscribers | undefined;
  /** Whether clients may have subscriptions to their tasks (`subscriptions.ts`). Absent: no. */
  readonly hasSubscriptions?: boolean | undefined;
  /** What other gateways on the store are told of this one. Absent: nothing. */
  readonly facts?: ReplicaFacts | undefined;
  /** How often the store looks for expired keys. Milliseconds. */
  readonly sweepEveryMs?: number | undefined;
  /** How long the store's server may take to accept a connection, and to answer. Milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** The prefix of every key on a server, without braces. */
  readonly prefix?: string | undefined;
  readonly tls?: StoreTls | undefined;
  /** Encrypts a lasting store: the first key writes, all keys read. Absent: no encryption. */
  readonly encryptionKeys?: readonly KeyObject[] | undefined;
  /** With keys: whether the store also reads values that are not encrypted, during a migration. */
  readonly acceptsPlaintext?: boolean | undefined;
  /** Called after each operation: how long it took in milliseconds, and whether the store did not answer. Absent: nobody measures. */
  readonly onOperation?: ((operation: StoreOperation, ms: number, isAway: boolean) => void) | undefined;
  /** Gets a sentence about each thing that the operator should know or mend. */
  readonly warn?: ((message: string) => void) | undefined;
}

/** What a store does, as far as its costs go. */
export type StoreOperation = "read" | "write" | "claim" | "list";

/** How gateway and server authenticate each other. Certificates and keys as PEM. */
export interface StoreTls {
  /** The authorities that may have signed the server's certificate, instead of those that Node trusts. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The name that the server's certificate must be valid for; absent: the host of the url. */
  readonly servername?: string | undefined;
}
