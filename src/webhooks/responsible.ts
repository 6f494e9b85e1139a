import { createHash } from "node:crypto";
import type { ReplicaId, TaskStore } from "../store/task-store.ts";

/** How long this replica goes by what it has heard of the others. */
const FRESH_MS = 2_000;

/**
 * Which replica delivers what is told of a task: every replica comes to the same answer by itself, and each has its share. While they do
 * not agree on who is alive, two may deliver the same; what nobody delivers is anybody's in the end.
 */
export class Responsibility {
  readonly #store: Pick<TaskStore, "me" | "aliveReplicas">;
  #alive: readonly ReplicaId[] = [];
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(store: Pick<TaskStore, "me" | "aliveReplicas">) {
    this.#store = store;
  }

  /** Asks who is alive, unless it has just done so. @throws StoreUnavailable */
  async refresh(): Promise<void> {
    if (performance.now() - this.#heardAt < FRESH_MS) return;
    this.#alive = await this.#store.aliveReplicas();
    this.#heardAt = performance.now();
  }

  /** Whether this replica delivers what is told of it. */
  isMine(what: string): boolean {
    const { me } = this.#store;
    const mine = weight(me, what);
    return this.#alive.every((other) => other === me || weight(other, what) < mine);
  }
}

/** Rendezvous hashing: whoever has the highest weight is responsible. */
function weight(replica: ReplicaId, what: string): string {
  return createHash("sha256").update(`${replica}:${what}`).digest("hex");
}
