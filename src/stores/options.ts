import type { TaskId } from "./task-store.ts";

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
}
