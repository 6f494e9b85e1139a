import type { Backend, ListEntry } from "./backend.ts";
import {
  type ReplicaFacts,
  type ReplicaId,
  type ReplicaInfo,
  type TaskId,
  UnreadableValue,
} from "./task-store.ts";

export interface ReplicasOptions {
  readonly backend: Backend;
  readonly me: ReplicaId;
  /** How long others take a replica to be alive after its last heartbeat. Milliseconds. */
  readonly leaseMs: number;
  readonly facts?: ReplicaFacts | undefined;
}

/** Heartbeats per lease. */
const BEATS_A_LEASE = 3;
const RETRY_MS = 1_000;
/** How long a replica that this one saw alive needs no second look. */
const CERTAIN_MS = 500;
/** Longer than any task that a replica may leave behind. */
const REMEMBERED_MS = 400 * 86_400_000;
/** How long a stopped replica's cell says so. After that its absence says the same to a replica that may judge (`#mayJudge`). */
const LEFT_MS = 86_400_000;
/** How many replicas an operator sees, and how many tasks of each are counted. */
const MAX_SHOWN = 1_000;
export const MAX_COUNTED = 10_000;
const REPLICAS = "replicas";
const PAGE = 500;
/** How many orphans are visited at the same time: a thousand of them cost mostly waiting for the store. */
const AT_A_TIME = 16;

/** Gets an orphan; resolves with whether the task no longer belongs to `owner`. */
type Visit = (id: TaskId, owner: ReplicaId) => Promise<boolean>;

/**
 * The replicas on a store, and the unfinished tasks of each. `replica:<id>` exists as long as the replica renews it with heartbeats. A
 * store of one process needs no heartbeats: every other replica that used it has died.
 */
export class Replicas {
  readonly #backend: Backend;
  readonly #me: ReplicaId;
  readonly #leaseMs: number;
  readonly #facts: ReplicaFacts | undefined;
  readonly #seenAlive = new Map<ReplicaId, number>();
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> = Promise.resolve();
  /** When this replica began its last successful heartbeat, and from when on it may declare others dead. */
  #beatAt = Number.NEGATIVE_INFINITY;
  #mayJudgeAt = Number.NEGATIVE_INFINITY;
  #hasLeft = false;

  constructor({ backend, me, leaseMs, facts }: ReplicasOptions) {
    this.#facts = facts;
    this.#backend = backend;
    this.#me = me;
    this.#leaseMs = leaseMs;
  }

  /** Enters this replica in the list and, on a shared store, starts its heartbeats. @throws StoreUnavailable */
  async enter(): Promise<void> {
    await this.#beat();
    // If the process was paused during the first heartbeat, the others already take this replica to be dead.
    if (this.#backend.isShared && !this.holdsLease) await this.#beat();
    if (this.#backend.isShared) this.#beatAgain(true);
  }

  /** Whether every other replica takes this one to be alive. */
  get holdsLease(): boolean {
    return performance.now() - this.#beatAt <= this.#leaseMs;
  }

  /** @throws StoreUnavailable */
  async isAlive(replica: ReplicaId): Promise<boolean> {
    const seenAt = this.#seenAlive.get(replica) ?? Number.NEGATIVE_INFINITY;
    return performance.now() - seenAt < CERTAIN_MS || this.#looksAlive(replica);
  }

  /** Whether no other replica sent a heartbeat within its lease, so that clients have no other to turn to. @throws StoreUnavailable */
  async isAlone(): Promise<boolean> {
    if (!this.#backend.isShared) return true;
    for await (const replica of this.#members(REPLICAS)) {
      if (replica === this.#me) continue;
      const [cell] = await this.#cells([replicaKey(replica)]);
      if (cell !== undefined && !cell.hasLeft) return false;
    }
    return true;
  }

  /** The replicas that may be alive. @throws StoreUnavailable */
  async alive(): Promise<readonly ReplicaId[]> {
    if (!this.#backend.isShared) return [this.#me];
    const found = await this.#backend.list(REPLICAS, "", MAX_SHOWN);
    const others = found.filter((id) => id !== this.#me);
    const alive = await Promise.all(others.map((id) => this.isAlive(id)));
    return [this.#me, ...others.filter((_, at) => alive[at])];
  }

  /** Every replica that the list still has. On a store of one process that is this one. @throws StoreUnavailable */
  async all(): Promise<readonly ReplicaInfo[]> {
    const found = await this.#backend.list(REPLICAS, "", MAX_SHOWN);
    const others = this.#backend.isShared ? found.filter((id) => id !== this.#me) : [];
    const cells = others.length === 0 ? [] : await this.#cells(others.map(replicaKey));
    const infos = others.map((id, at) => ({ id, isMe: false, cell: cells[at] }));
    const all = [{ id: this.#me, isMe: true, cell: this.#cell }, ...infos];
    return Promise.all(
      all.map(async ({ id, isMe, cell }) => ({
        ...cell?.facts,
        id,
        isMe,
        isAlive: isMe || (cell !== undefined && cell.hasLeft !== true),
        tasks: (await this.#backend.list(tasksOf(id), "", MAX_COUNTED)).length,
      })),
    );
  }

  /** Takes a hint that a replica may have stopped. */
  hasGone(replica: ReplicaId): void {
    this.#seenAlive.delete(replica);
  }

  /**
   * The entries of an unfinished task of this replica. If the last heartbeat is old, because the process was paused for example, another
   * replica may have removed this one from the list of replicas; the entries then restore it, because otherwise nobody would look for its
   * tasks if it died before the next heartbeat.
   */
  entriesOf(id: TaskId, ttlMs: number): readonly ListEntry[] {
    const entry = { ...this.memberOf(id), ttlMs };
    const isListed = !this.#backend.isShared || performance.now() - this.#beatAt <= this.#leaseMs / 2;
    return isListed ? [entry] : [this.#entry(), entry];
  }

  /** Where an unfinished task of this replica is listed. */
  memberOf(id: TaskId): Pick<ListEntry, "list" | "member"> {
    return { list: tasksOf(this.#me), member: id };
  }

  /** Calls `visit` with the tasks of dead replicas, `AT_A_TIME` at once, and drops each task for which it resolves with `true`. */
  async orphans(visit: Visit): Promise<void> {
    for await (const replica of this.#members(REPLICAS)) {
      if (await this.#looksAlive(replica)) continue;
      const isEmpty = await this.#show(replica, visit);
      // A replica that was only paused enters the list again.
      if (isEmpty) await this.#backend.unlist(REPLICAS, replica);
    }
  }

  /** Tells the others that this replica has stopped. @throws StoreUnavailable */
  async leave(): Promise<void> {
    await this.#stop();
    const gone: ReplicaCell = { hasLeft: true };
    await this.#backend.set(replicaKey(this.#me), gone, LEFT_MS);
    this.#backend.publish({ kind: "left", replica: this.#me });
  }

  async close(): Promise<void> {
    await this.#stop();
  }

  /** Resolves with whether the replica had no tasks left. */
  async #show(replica: ReplicaId, visit: Visit): Promise<boolean> {
    const tasks = this.#members(tasksOf(replica));
    let isEmpty = true;
    const walk = async () => {
      // All walks share one iterator: each takes the next task. If one walk fails, `#show` rejects.
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
    const [cell, mine] = await this.#cells(keys);
    if (cell?.hasLeft) return false;
    if (cell !== undefined) return this.#sawAlive(replica);
    // A store without our own cell may have lost anybody's: it lost its data, or the whole machine stood still, clocks and all.
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
    // Counted from the beginning of the last heartbeat: after one that took long, because the process was paused, the next follows at once.
    const dueMs = Math.max(everyMs / 10, this.#beatAt + everyMs - performance.now());
    this.#timer = setTimeout(
      () => {
        this.#beating = this.#beat().then(
          () => this.#beatAgain(true),
          // Callers that need the store get the error themselves.
          () => this.#beatAgain(false),
        );
      },
      wasHeard ? dueMs : Math.min(everyMs, RETRY_MS),
    ).unref();
  }

  async #beat(): Promise<void> {
    const begunAt = performance.now();
    // With every heartbeat: a replica that took us to be dead may have removed us from the list.
    const entry = this.#entry();
    try {
      const [before] = await this.#cells([replicaKey(this.#me)]);
      // Our cell is missing: we are new, the store was unreachable or lost its data, or this process was paused. Other replicas may have
      // been cut off as well, so they get one lease to send a heartbeat before we declare any of them dead.
      if (before === undefined) this.#judgeLater();
      await this.#backend.set(replicaKey(this.#me), this.#cell, Math.ceil(this.#leaseMs), [entry]);
    } catch (error) {
      this.#judgeLater();
      throw error;
    }
    this.#beatAt = begunAt;
  }

  /** A damaged cell says no more than that the replica wrote it. Its next heartbeat writes it anew, or its lease ends. */
  async #cells(keys: readonly string[]): Promise<readonly (ReplicaCell | undefined)[]> {
    const read = async (some: readonly string[]) =>
      (await this.#backend.getMany(some)) as readonly (ReplicaCell | undefined)[];
    try {
      return await read(keys);
    } catch (error) {
      if (!(error instanceof UnreadableValue)) throw error;
      if (keys.length === 1) return [{}];
      return (await Promise.all(keys.map((key) => this.#cells([key])))).flat();
    }
  }

  get #cell(): ReplicaCell {
    return this.#facts === undefined ? {} : { facts: this.#facts };
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
  readonly facts?: ReplicaFacts;
}

const replicaKey = (id: ReplicaId) => `replica:${id}`;
const tasksOf = (id: ReplicaId) => `tasks-${id}`;
