import type { Backend, ListEntry } from "./backend.ts";
import type { ReplicaId, TaskId } from "./task-store.ts";

export interface ReplicasOptions {
  readonly backend: Backend;
  readonly me: ReplicaId;
  /** How long a replica is taken to be alive after its last heartbeat. Milliseconds. */
  readonly leaseMs: number;
}

/** A replica beats so often within one lease. */
const BEATS_A_LEASE = 3;
const RETRY_MS = 1_000;
/** How long somebody who was just seen alive need not be looked for again. */
const CERTAIN_MS = 500;
/** Longer than anything that a replica may leave behind. */
const REMEMBERED_MS = 400 * 86_400_000;
/** How long it can be read that a replica has left. After that, that it is not there says the same, to those who may judge. */
const LEFT_MS = 86_400_000;
const REPLICAS = "replicas";
const PAGE = 500;
/** How many tasks of the dead are looked after at the same time: what a thousand of them cost is waiting for the store. */
const AT_A_TIME = 16;

/** Shows a task that a replica which is gone has left. */
type Visit = (id: TaskId, owner: ReplicaId) => Promise<boolean>;

/**
 * Which gateways there are on a store, and which tasks each of them had not ended yet. `replica:<id>` is there as long as a
 * replica is: it expires by itself when nobody renews it. On a store of one process there is nothing to renew, because whoever
 * else was here is gone.
 */
export class Replicas {
  readonly #backend: Backend;
  readonly #me: ReplicaId;
  readonly #leaseMs: number;
  readonly #seenAlive = new Map<ReplicaId, number>();
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> = Promise.resolve();
  /** When this replica was last known to be heard, and from when on it may say of others that they are not. */
  #beatAt = Number.NEGATIVE_INFINITY;
  #mayJudgeAt = Number.NEGATIVE_INFINITY;
  #hasLeft = false;

  constructor({ backend, me, leaseMs }: ReplicasOptions) {
    this.#backend = backend;
    this.#me = me;
    this.#leaseMs = leaseMs;
  }

  /** Enters the list, and stays in it. @throws StoreUnavailable */
  async enter(): Promise<void> {
    await this.#beat();
    // Who is paused meanwhile is gone for the others by the time it goes on.
    if (this.#backend.isShared && !this.holdsLease) await this.#beat();
    if (this.#backend.isShared) this.#beatAgain(true);
  }

  /** Whether everybody takes this replica to be alive. */
  get holdsLease(): boolean {
    return performance.now() - this.#beatAt <= this.#leaseMs;
  }

  /** @throws StoreUnavailable */
  async isAlive(replica: ReplicaId): Promise<boolean> {
    const seenAt = this.#seenAlive.get(replica) ?? Number.NEGATIVE_INFINITY;
    return performance.now() - seenAt < CERTAIN_MS || this.#looksAlive(replica);
  }

  /** Whether no other replica was heard within its lease: whoever comes to this one's clients finds nobody else. @throws StoreUnavailable */
  async isAlone(): Promise<boolean> {
    if (!this.#backend.isShared) return true;
    for await (const replica of this.#members(REPLICAS)) {
      if (replica === this.#me) continue;
      const [cell] = (await this.#backend.getMany([replicaKey(replica)])) as [ReplicaCell?];
      if (cell !== undefined && !cell.hasLeft) return false;
    }
    return true;
  }

  /** Takes a hint that a replica may not be there any more. */
  hasGone(replica: ReplicaId): void {
    this.#seenAlive.delete(replica);
  }

  /**
   * The entries that a task of this replica has as long as it has not ended. Who was not heard for long, because it was paused for example,
   * may have been taken out of the list of replicas; should it die before it beats again, nobody would look for its tasks.
   */
  entriesOf(id: TaskId, ttlMs: number): readonly ListEntry[] {
    const entry = { list: tasksOf(this.#me), member: id, ttlMs };
    const isListed = !this.#backend.isShared || performance.now() - this.#beatAt <= this.#leaseMs / 2;
    return isListed ? [entry] : [this.#entry(), entry];
  }

  /** Nobody has to look after the task any more. */
  forget(id: TaskId): Promise<void> {
    return this.#backend.unlist(tasksOf(this.#me), id);
  }

  /** Shows the tasks that replicas which are gone have left, a few at a time, until `visit` says that it has looked after them. */
  async orphans(visit: Visit): Promise<void> {
    for await (const replica of this.#members(REPLICAS)) {
      if (await this.#looksAlive(replica)) continue;
      const isEmpty = await this.#show(replica, visit);
      // Should it come back, after a pause for example, it enters again.
      if (isEmpty) await this.#backend.unlist(REPLICAS, replica);
    }
  }

  /** Is taken to be gone from now on. @throws StoreUnavailable */
  async leave(): Promise<void> {
    await this.#stop();
    const gone: ReplicaCell = { hasLeft: true };
    await this.#backend.set(replicaKey(this.#me), gone, LEFT_MS);
    this.#backend.publish({ kind: "left", replica: this.#me });
  }

  async close(): Promise<void> {
    await this.#stop();
  }

  /** Whether there was nothing left to show. */
  async #show(replica: ReplicaId, visit: Visit): Promise<boolean> {
    const tasks = this.#members(tasksOf(replica));
    let isEmpty = true;
    const walk = async () => {
      // All walk through the same list: each takes what comes next. Should one fail, that is the end of it.
      for await (const id of tasks) {
        isEmpty = false;
        if (await visit(id, replica)) await this.#backend.unlist(tasksOf(replica), id);
      }
    };
    const walks = await Promise.allSettled(Array.from({ length: AT_A_TIME }, walk));
    const failed = walks.find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") throw failed.reason;
    return isEmpty;
  }

  async #looksAlive(replica: ReplicaId): Promise<boolean> {
    if (replica === this.#me) return !this.#hasLeft;
    if (!this.#backend.isShared) return false;
    const keys = [replicaKey(replica), replicaKey(this.#me)];
    const [cell, mine] = (await this.#backend.getMany(keys)) as [ReplicaCell?, ReplicaCell?];
    if (cell?.hasLeft) return false;
    if (cell !== undefined) return this.#sawAlive(replica);
    // A store that has forgotten us may have forgotten anybody: it was lost or the whole machine stood still, clocks and all.
    if (mine === undefined) this.#judgeLater();
    return !this.#mayJudge();
  }

  async #stop(): Promise<void> {
    this.#hasLeft = true;
    clearTimeout(this.#timer);
    await this.#beating;
  }

  #beatAgain(wasHeard: boolean): void {
    if (this.#hasLeft) return;
    const everyMs = this.#leaseMs / BEATS_A_LEASE;
    // Counted from when it was begun: a heartbeat that took long, because the process was paused, is followed by the next one at once.
    const dueMs = Math.max(everyMs / 10, this.#beatAt + everyMs - performance.now());
    this.#timer = setTimeout(
      () => {
        this.#beating = this.#beat().then(
          () => this.#beatAgain(true),
          // Should the store be away, whoever needs it is told so.
          () => this.#beatAgain(false),
        );
      },
      wasHeard ? dueMs : Math.min(everyMs, RETRY_MS),
    ).unref();
  }

  async #beat(): Promise<void> {
    const cell: ReplicaCell = {};
    const begunAt = performance.now();
    // Every time: somebody who took us to be gone may have taken us out of the list since.
    const entry = this.#entry();
    try {
      const [before] = await this.#backend.getMany([replicaKey(this.#me)]);
      // Nobody may have been heard for a while, because the store was away or has lost what it knew, or because this very process
      // was paused: then the others get a lease to be heard again, and so they do from a replica that is new.
      if (before === undefined) this.#judgeLater();
      await this.#backend.set(replicaKey(this.#me), cell, Math.ceil(this.#leaseMs), [entry]);
    } catch (error) {
      this.#judgeLater();
      throw error;
    }
    this.#beatAt = begunAt;
  }

  #entry(): ListEntry {
    return { list: REPLICAS, member: this.#me, ttlMs: REMEMBERED_MS };
  }

  #judgeLater(): void {
    this.#mayJudgeAt = performance.now() + this.#leaseMs;
  }

  #mayJudge(): boolean {
    const now = performance.now();
    return now >= this.#mayJudgeAt && this.holdsLease;
  }

  #sawAlive(replica: ReplicaId): true {
    const now = performance.now();
    for (const [other, at] of this.#seenAlive) if (now - at >= CERTAIN_MS) this.#seenAlive.delete(other);
    this.#seenAlive.set(replica, now);
    return true;
  }

  async *#members(list: string): AsyncIterable<string> {
    let after = "";
    for (;;) {
      const page = await this.#backend.list(list, after, PAGE);
      yield* page;
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) return;
      after = last;
    }
  }
}

interface ReplicaCell {
  readonly hasLeft?: boolean;
}

const replicaKey = (id: ReplicaId) => `replica:${id}`;
const tasksOf = (id: ReplicaId) => `tasks-${id}`;
