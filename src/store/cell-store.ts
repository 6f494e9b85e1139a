import { randomBytes } from "node:crypto";
import { steadyNow } from "../lib/clock.ts";
import type { Backend, ListEntry, Spent } from "./backend.ts";
import { DEFAULT_LEASE_MS, type StoreOptions } from "./options.ts";
import { type News, Outbox } from "./outbox.ts";
import { Replicas } from "./replicas.ts";
import { SessionNotes } from "./session-notes.ts";
import { storedCallCell, storedCallOf } from "./stored-call-cell.ts";
import { NONE, Subscriptions, type Waiting } from "./subscriptions.ts";
import { indexEntry, listEntry, readIndex, readPage } from "./task-list.ts";
import {
  type Change,
  type InputAnswer,
  type InputRequest,
  isOwnedBy,
  MAX_TURNS,
  type NewTask,
  type Nudge,
  type Outcome,
  type PageRequest,
  type ReplicaId,
  type ReplicaInfo,
  RUNS,
  type StoredCall,
  type TaskId,
  type TaskOwner,
  type TaskPage,
  type TaskPlace,
  type TaskRecord,
  type TaskStore,
  type TaskTerms,
  type TaskView,
  WAITS,
} from "./task-store.ts";
import { TimedBackend } from "./timed-backend.ts";

export interface CellStoreOptions extends StoreOptions {
  readonly url: string;
  readonly backend: Backend;
  /** As in `TaskStore`; absent: lasting, and not sealed. */
  readonly isLasting?: boolean;
  readonly isSealed?: boolean;
  /** As in `TaskStore`; absent: 0. */
  readonly heldBytes?: () => number;
  /** As in `TaskStore`; absent: 0. */
  readonly jumpedSince?: (at: number) => number;
  /** `close` awaits this before it closes the backend. */
  readonly closing?: () => Promise<void>;
}

/**
 * A task store that keeps each task in several cells of a backend.
 *
 * Only the owner writes `task:<id>`; where several may create the task, its first write is a claim. `end:<id>` is write-once and holds the
 * outcome with the record as it was when the task ended, so that a finished task stays unchanged and readable, whatever becomes of the
 * others. Records and stored call go once the end stands. `in:<id>:<key>` is write-once: the client's answer to a question of the server.
 *
 * `own:<id>:<n>` is write-once and names the replica that made the nth takeover, or that gave the task up; n has no gaps. Each takeover
 * has a record of its own, `task:<id>:<n>`, so that a former owner that does not know of it yet overwrites nothing. The creator's record has no number.
 *
 * `recipe:<id>` holds what a replica needs to make the call again; `told:<id>` exists once the client knows the task.
 *
 * `knows:<hash>` exists for a day for a session whose client knows tasks (`session-notes.ts`).
 *
 * `secret` is write-once: the key that names callers who have only a credential.
 *
 * A listed task has an entry in its caller's list, an unfinished one also in its owner's list (`replicas.ts`), written along with the
 * cells. An entry says only that the task exists, so any replica may write it.
 */
export class CellStore implements TaskStore {
  readonly url: string;
  readonly me: ReplicaId = randomBytes(9).toString("base64url");
  readonly isLasting: boolean;
  readonly isSealed: boolean;
  readonly #backend: Backend;
  readonly #replicas: Replicas;
  readonly #isIndexed: boolean;
  readonly outbox: Outbox;
  readonly subscriptions: Subscriptions;
  readonly sessionNotes: SessionNotes;
  readonly #clock: () => number;
  readonly #newId: () => TaskId;
  readonly #heldBytes: () => number;
  readonly #closing: () => Promise<void>;
  readonly jumpedSince: (at: number) => number;

  /** @throws StoreUnavailable */
  static async open(options: CellStoreOptions): Promise<CellStore> {
    const store = new CellStore(options);
    if (store.isLasting) await store.#replicas.enter();
    store.watch((nudge) => nudge.kind === "left" && store.#replicas.hasGone(nudge.replica));
    return store;
  }

  private constructor(options: CellStoreOptions) {
    const { url, onOperation, clock = steadyNow, newId = randomId, leaseMs = DEFAULT_LEASE_MS } = options;
    this.url = url;
    this.isLasting = options.isLasting ?? true;
    this.isSealed = options.isSealed ?? false;
    const backend =
      onOperation === undefined ? options.backend : new TimedBackend(options.backend, onOperation);
    this.#backend = backend;
    this.#replicas = new Replicas({ backend, me: this.me, leaseMs, facts: options.facts });
    this.#isIndexed = options.isIndexed ?? false;
    this.outbox = new Outbox(backend, options.subscribers);
    const isUsed = options.hasSubscriptions ?? false;
    this.subscriptions = new Subscriptions({ backend, outbox: this.outbox, clock, isUsed });
    this.sessionNotes = new SessionNotes(backend);
    this.#clock = clock;
    this.#newId = newId;
    this.#heldBytes = options.heldBytes ?? (() => 0);
    this.#closing = options.closing ?? (async () => {});
    this.jumpedSince = options.jumpedSince ?? (() => 0);
  }

  get heldBytes(): number {
    return this.#heldBytes();
  }

  get isWritable(): boolean {
    return this.#backend.isWritable ?? true;
  }

  get holdsLease(): boolean {
    return !this.#backend.isShared || this.#replicas.holdsLease;
  }

  now(): number {
    return this.#clock();
  }

  newId(): TaskId {
    return this.#newId();
  }

  async create({ storedCall, ...task }: NewTask, id: TaskId = this.#newId()): Promise<TaskRecord> {
    const { record, entries, begun } = this.#begun(task, id);
    const waiting = await this.#waitingFor(record, record.createdAt, begun);
    await this.#put(record, storedCall, [...entries, ...waiting.entries]);
    this.subscriptions.nudge(waiting.ids);
    return record;
  }

  async createOnce({ storedCall, ...task }: NewTask, id: TaskId): Promise<TaskView | undefined> {
    const { record, entries: own, begun } = this.#begun(task, id);
    const waiting = await this.#waitingFor(record, record.createdAt, begun);
    const entries = [...own, ...waiting.entries];
    // What is left of an expired task would be taken for a part of the new one.
    const cells = await this.#backend.getMany([taskKey({ id }), endKey(id), toldKey(id), turnKey(id, 1)]);
    const isFree = cells.every((cell) => cell === undefined);
    const ttl = keyTtlMs(lifetimeMs(task.terms));
    const standing: TaskView | undefined = isFree
      ? { task: (await this.#backend.claim(taskKey({ id }), record, ttl, entries)) as TaskRecord }
      : await this.read(id);
    const isOurs = standing?.task.idempotency?.creation === task.idempotency?.creation;
    if (isOurs && storedCall !== undefined) await this.#putStoredCall(record, storedCall);
    return standing;
  }

  async read(id: TaskId, reader?: TaskOwner): Promise<TaskView | undefined> {
    if (!isTaskId(id)) return undefined;
    const [first, end, taken] = (await this.#backend.getMany([
      taskKey({ id }),
      endKey(id),
      turnKey(id, 1),
    ])) as [TaskRecord?, EndCell?, TurnCell?];
    const isForeign = first !== undefined && reader !== undefined && !isOwnedBy(first, reader);
    if (!end && isForeign) return { task: first };
    // After a takeover nobody writes the creator's record any more; it may expire before the task ends.
    const { task, outcome } = end ?? (taken ? await this.#lastTurn(id, first, taken) : { task: first });
    if (!task) return undefined;
    if (outcome) return this.#isOver(outcome.endedAt, task.terms.ttlMs) ? undefined : { task, outcome };
    if (this.#isOver(task.updatedAt, lifetimeMs(task.terms))) return undefined;
    return { task: await this.#withoutAnswered(task) };
  }

  async ending(id: TaskId): Promise<Outcome | undefined> {
    const [end] = (await this.#backend.getMany([endKey(id)])) as [EndCell?];
    return end?.outcome;
  }

  list(owner: TaskOwner, page: PageRequest): Promise<TaskPage | undefined> {
    return readPage(this.#backend, owner, page, (id) => this.read(id));
  }

  newest(limit: number, after?: TaskPlace): Promise<readonly TaskPlace[]> {
    return readIndex(this.#backend, limit, after);
  }

  aliveReplicas(): Promise<readonly ReplicaId[]> {
    return this.#replicas.alive();
  }

  replicas(): Promise<readonly ReplicaInfo[]> {
    return this.#replicas.all();
  }

  async update(task: TaskRecord, { storedCall, ...change }: Change): Promise<TaskRecord> {
    // Somebody may set the clock back; `updatedAt` must not go back.
    const updatedAt = Math.max(this.#clock(), task.updatedAt, task.createdAt);
    const changes = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
    const record: TaskRecord = { ...task, ...changes, updatedAt };
    const lifetime = lifetimeMs(task.terms);
    const changed = () => changedIn(task, record);
    const waiting = await this.#waitingFor(record, updatedAt, changed);
    const entries = [
      ...(updatedAt > task.createdAt + lifetime ? this.#entries(task, keyTtlMs(lifetime)) : []),
      ...this.outbox.entriesOf(record, updatedAt, changed),
      ...waiting.entries,
    ];
    await this.#put(record, storedCall, entries);
    this.#backend.publish({ kind: "changed", id: task.id });
    this.subscriptions.nudge(waiting.ids);
    return record;
  }

  async restore(task: TaskRecord, storedCall: StoredCall | undefined): Promise<void> {
    const ttl = keyTtlMs(2 * lifetimeMs(task.terms));
    const { turn: last = 0, isUnsent, pause } = task;
    const idle = { ...(isUnsent ? { isUnsent } : {}), ...(pause === undefined ? {} : { isPaused: true }) };
    for (let turn = 1; turn <= last; turn += 1) {
      const mine: TurnCell = { owner: this.me, ...(turn === last ? idle : {}) };
      const standing = (await this.#backend.claim(turnKey(task.id, turn), mine, ttl)) as TurnCell;
      if (turn === last && standing.owner !== this.me) return;
    }
    await this.#put(task, storedCall, this.#entries(task, ttl));
    this.#backend.publish({ kind: "changed", id: task.id });
  }

  async takeOver(task: TaskRecord, isIdle = false): Promise<TaskRecord | undefined> {
    const turn = (task.turn ?? 0) + 1;
    if (turn > MAX_TURNS || task.isGivenUp) return undefined;
    const lifetime = lifetimeMs(task.terms);
    const idle = task.pause === undefined ? { isUnsent: true } : { isPaused: true };
    const mine: TurnCell = { owner: this.me, ...(isIdle ? idle : {}) };
    const standing = await this.#claimTurn(task, turn, mine);
    // The standing takeover may be our own: an earlier attempt whose reply was lost.
    if (!isSameTurn(standing, mine)) return undefined;
    const taken = inTurn(task, turn, standing);
    // Nobody but its creator writes the first record: until the next change, it says the same.
    if (task.owner === this.me && task.turn === undefined) return taken;
    const updatedAt = Math.max(this.#clock(), task.updatedAt);
    const record: TaskRecord = { ...taken, updatedAt };
    await this.#backend.set(taskKey(record), record, keyTtlMs(lifetime));
    this.#backend.publish({ kind: "changed", id: task.id });
    return record;
  }

  async giveUp(task: TaskRecord): Promise<TaskRecord | undefined> {
    const turn = (task.turn ?? 0) + 1;
    // Nobody can take it over any more.
    if (turn > MAX_TURNS || task.isGivenUp) return task;
    const standing = await this.#claimTurn(task, turn, { owner: this.me, isGivenUp: true });
    return standing.isGivenUp ? inTurn(task, turn, standing) : undefined;
  }

  async end(task: TaskRecord, outcome: Outcome): Promise<Outcome> {
    const mine: EndCell = { task: { ...asEnded(task), inputRequests: {} }, outcome };
    // The list entry now expires with the task, so that lists do not fill with tasks that have gone.
    const stay = Math.max(0, outcome.endedAt - this.#clock()) + task.terms.ttlMs;
    const ended = (): readonly News[] => [{ kind: "ended", outcome }];
    const waiting = await this.#waitingFor(task, outcome.endedAt, ended);
    const entries = [
      ...this.#listed(task, keyTtlMs(stay)),
      ...this.outbox.entriesOf(task, outcome.endedAt, ended),
      ...waiting.entries,
    ];
    const ttl = keyTtlMs(lifetimeMs(task.terms));
    const spent = this.#spent(task);
    const standing = (await this.#backend.claim(endKey(task.id), mine, ttl, entries, spent)) as EndCell;
    // Latecomers publish it too: the first may have died between its write and its nudge.
    this.#backend.publish({ kind: "ended", id: task.id });
    this.subscriptions.nudge(waiting.ids);
    return standing.outcome;
  }

  async answer(task: TaskRecord, key: string, answer: InputAnswer): Promise<void> {
    await this.#backend.claim(answerKey(task.id, key), answer, keyTtlMs(lifetimeMs(task.terms)));
    this.#backend.publish({ kind: "answered", id: task.id });
  }

  async answers(id: TaskId, keys: readonly string[]): Promise<ReadonlyMap<string, InputAnswer>> {
    const found = new Map<string, InputAnswer>();
    if (!isTaskId(id) || keys.length === 0) return found;
    const cells = await this.#backend.getMany(keys.map((key) => answerKey(id, key)));
    for (const [index, key] of keys.entries()) {
      const answer = cells[index] as InputAnswer | undefined;
      if (answer) found.set(key, answer);
    }
    return found;
  }

  isAlive(replica: ReplicaId): Promise<boolean> {
    return this.#replicas.isAlive(replica);
  }

  isAlone(): Promise<boolean> {
    return this.#replicas.isAlone();
  }

  async storedCall(id: TaskId): Promise<StoredCall | undefined> {
    const [storedCall] = await this.#backend.getMany([storedCallKey(id)]);
    return storedCall === undefined ? undefined : storedCallOf(storedCall as StoredCall);
  }

  async tell(task: TaskRecord): Promise<void> {
    // Its client may be told again of the same task.
    const tellsOthers = this.outbox.isUsed || this.subscriptions.isUsed;
    if (tellsOthers && (await this.isTold(task.id))) return;
    // It learns only now that there is one.
    const at = this.#clock();
    const begun = () => begunIn(task);
    const waiting = await this.#waitingFor(task, at, begun);
    const entries = [...this.outbox.entriesOf(task, at, begun), ...waiting.entries];
    await this.#backend.claim(toldKey(task.id), {}, keyTtlMs(lifetimeMs(task.terms)), entries);
    this.subscriptions.nudge(waiting.ids);
  }

  async isTold(id: TaskId): Promise<boolean> {
    const [told] = await this.#backend.getMany([toldKey(id)]);
    return told !== undefined;
  }

  async orphans(visit: (id: TaskId, owner: ReplicaId) => Promise<boolean>): Promise<void> {
    if (this.isLasting) await this.#replicas.orphans(visit);
  }

  async secret(): Promise<Buffer> {
    const drawn: SecretCell = { key: randomBytes(32).toString("base64") };
    const standing = (await this.#backend.claim(SECRET_KEY, drawn, SECRET_TTL_MS)) as SecretCell;
    // Renews the expiry; every replica writes the same value.
    await this.#backend.set(SECRET_KEY, standing, SECRET_TTL_MS);
    return Buffer.from(standing.key, "base64");
  }

  async leave(): Promise<void> {
    if (this.isLasting) await this.#replicas.leave();
  }

  watch(listener: (nudge: Nudge) => void): () => void {
    return this.#backend.watch(listener);
  }

  async close(): Promise<void> {
    await this.#closing();
    await this.#replicas.close();
    await this.#backend.close();
  }

  /** Whether something that expires `staysMs` after `at` has expired. */
  #isOver(at: number, staysMs: number): boolean {
    return this.#clock() > at + staysMs + this.jumpedSince(at);
  }

  #begun(task: Omit<NewTask, "storedCall">, id: TaskId) {
    const now = this.#clock();
    const record: TaskRecord = {
      createdAt: now,
      ...task,
      id,
      owner: this.me,
      updatedAt: now,
      inputRequests: task.inputRequests ?? {},
    };
    // The entries last for all changes within one lifetime, so that `update` need not write them again.
    const entries = this.#entries(record, keyTtlMs(2 * lifetimeMs(task.terms)));
    // Its client may never learn of a task that it awaits in rounds.
    const begun = (): readonly News[] => (record.rounds === undefined ? begunIn(record) : []);
    return { record, entries: [...entries, ...this.outbox.entriesOf(record, now, begun)], begun };
  }

  /** What this write is to make wait for the subscriptions of the task's owner. */
  async #waitingFor(task: TaskRecord, at: number, newsOf: () => readonly News[]): Promise<Waiting> {
    return this.subscriptions.isUsed && task.isListed
      ? await this.subscriptions.entriesOf(task, at, newsOf())
      : NONE;
  }

  /** Writes both cells. The stored call may become durable first. */
  async #put(
    record: TaskRecord,
    storedCall: StoredCall | undefined,
    entries: readonly ListEntry[],
  ): Promise<void> {
    await Promise.all([
      ...(storedCall === undefined ? [] : [this.#putStoredCall(record, storedCall)]),
      this.#backend.set(taskKey(record), record, keyTtlMs(lifetimeMs(record.terms)), entries),
    ]);
  }

  #putStoredCall({ id, terms }: TaskRecord, storedCall: StoredCall): Promise<void> {
    return this.#backend.set(storedCallKey(id), storedCallCell(storedCall), keyTtlMs(2 * lifetimeMs(terms)));
  }

  /** The record after the last takeover, without a task when the store has none of any owner; the end if it comes to stand meanwhile. */
  async #lastTurn(id: TaskId, first: TaskRecord | undefined, taken: TurnCell): Promise<Partial<TaskView>> {
    let task = first;
    let standing: TurnCell | undefined = taken;
    for (let turn = 1; standing !== undefined; turn += 1) {
      // Whoever ends the task removes the records.
      const keys = [taskKey({ id, turn }), endKey(id), turnKey(id, turn + 1)];
      const [record, end, next] = (await this.#backend.getMany(keys)) as [TaskRecord?, EndCell?, TurnCell?];
      if (end) return end;
      // An owner that has not written a record yet has that of the owner before.
      task = record ?? (task && inTurn(task, turn, standing));
      standing = next;
    }
    return task === undefined ? {} : { task };
  }

  /** Gives the takeover that stands. */
  async #claimTurn({ id, terms }: TaskRecord, turn: number, mine: TurnCell): Promise<TurnCell> {
    const ttl = keyTtlMs(2 * lifetimeMs(terms));
    const entries = this.#replicas.entriesOf(id, ttl);
    return (await this.#backend.claim(turnKey(id, turn), mine, ttl, entries)) as TurnCell;
  }

  /**
   * What nobody reads once the task's end stands. The first record of a task with an idempotency key stays, because it keeps others from
   * creating the task again. So do takeovers, which a former owner must lose. If the task's entry in the list of its owner stays, a replica
   * that looks for orphans once reads a task that has ended.
   */
  #spent({ id, owner, turn: last = 0, idempotency }: TaskRecord): Spent {
    const records = Array.from({ length: last + 1 }, (_, turn) => taskKey({ id, turn: turn || undefined }));
    const removable = idempotency === undefined ? records : records.slice(1);
    if (!this.isLasting) return { keys: removable, members: [] };
    const members = owner === this.me ? [this.#replicas.memberOf(id)] : [];
    return { keys: [...removable, storedCallKey(id)], members };
  }

  #entries(task: TaskRecord, ttlMs: number): readonly ListEntry[] {
    const listed = this.#listed(task, ttlMs);
    const owned = this.isLasting ? this.#replicas.entriesOf(task.id, ttlMs) : [];
    return [...listed, ...owned];
  }

  /** In the list of its caller's tasks, and in that of all. */
  #listed(task: TaskRecord, ttlMs: number): readonly ListEntry[] {
    const listed = listEntry(task, ttlMs);
    return [...(listed === undefined ? [] : [listed]), ...(this.#isIndexed ? [indexEntry(task, ttlMs)] : [])];
  }

  async #withoutAnswered(task: TaskRecord): Promise<TaskRecord> {
    const asked = Object.entries(task.inputRequests);
    if (asked.length === 0) return task;
    const keys = asked.map(([key]) => key);
    const answered = await this.answers(task.id, keys);
    if (answered.size === 0) return task;
    // Not an assignment in a loop: `__proto__` is a key like any other.
    const inputRequests: Record<string, InputRequest> = Object.fromEntries(
      asked.filter(([key]) => !answered.has(key)),
    );
    return { ...task, inputRequests };
  }
}

interface TurnCell {
  readonly owner: ReplicaId;
  /** As in `NewTask`. */
  readonly isUnsent?: boolean;
  /** Whether the call is paused as in the record before. */
  readonly isPaused?: boolean;
  /** As in `TaskRecord`. */
  readonly isGivenUp?: boolean;
}

interface EndCell {
  readonly task: TaskRecord;
  readonly outcome: Outcome;
}

interface SecretCell {
  /** base64 */
  readonly key: string;
}

const SECRET_KEY = "secret";
/** Longer than the store can keep any task, counted from the last start of a gateway. */
const SECRET_TTL_MS = 2 * 366 * 86_400_000;
const ID_BYTES = 18;
/** Fetches random bytes for many ids at once: fetching them for each id costs ten times as much. */
const pool = { bytes: Buffer.alloc(0), used: 0 };

function randomId(): TaskId {
  if (pool.used === pool.bytes.length) {
    pool.bytes = randomBytes(ID_BYTES * 256);
    pool.used = 0;
  }
  pool.used += ID_BYTES;
  return pool.bytes.toString("base64url", pool.used - ID_BYTES, pool.used);
}

/** No gateway made any other id: an id with colons or of any length must not reach the backend. */
function isTaskId(id: string): boolean {
  return /^[\w-]{1,128}$/.test(id);
}

function isSameTurn(one: TurnCell, other: TurnCell): boolean {
  return (
    one.owner === other.owner &&
    one.isUnsent === other.isUnsent &&
    one.isPaused === other.isPaused &&
    one.isGivenUp === other.isGivenUp
  );
}

function inTurn(task: TaskRecord, turn: number, standing: TurnCell): TaskRecord {
  const { isUnsent: _isUnsent, pause, isGivenUp: _isGivenUp, ...rest } = task;
  const { owner, isUnsent, isPaused, isGivenUp } = standing;
  return {
    ...rest,
    owner,
    turn,
    ...(isUnsent ? { isUnsent } : {}),
    ...(isPaused && pause !== undefined ? { pause } : {}),
    ...(isGivenUp ? { isGivenUp } : {}),
  };
}

function askedIn({ inputRequests }: TaskRecord, before: readonly string[] = []): readonly News[] {
  const keys = Object.keys(inputRequests).filter((key) => !before.includes(key));
  return keys.length === 0 ? [] : [{ kind: "asked", keys }];
}

function begunIn(task: TaskRecord): readonly News[] {
  return [{ kind: "created" }, ...askedIn(task)];
}

/** What a change of the record says has happened. */
function changedIn(before: TaskRecord, after: TaskRecord): readonly News[] {
  const { statusMessage: said } = after;
  const hasMoved = said !== undefined && said !== before.statusMessage && said !== WAITS && said !== RUNS;
  return [
    ...askedIn(after, Object.keys(before.inputRequests)),
    ...(hasMoved ? ([{ kind: "progress" }] as const) : []),
  ];
}

/** Without what only matters to a call that has not ended. */
function asEnded(task: TaskRecord): TaskRecord {
  const {
    checkpoint: _checkpoint,
    pause: _pause,
    isUnsent: _isUnsent,
    isGivenUp: _isGivenUp,
    ...rest
  } = task;
  return rest;
}

const taskKey = ({ id, turn }: { readonly id: TaskId; readonly turn?: number | undefined }) =>
  turn === undefined ? `task:${id}` : `task:${id}:${turn}`;
const storedCallKey = (id: TaskId) => `recipe:${id}`;
const toldKey = (id: TaskId) => `told:${id}`;
const turnKey = (id: TaskId, turn: number) => `own:${id}:${turn}`;
const endKey = (id: TaskId) => `end:${id}`;
const answerKey = (id: TaskId, key: string) => `in:${id}:${key}`;

/** How long an unfinished task can matter after its owner's last write: the longest run, then the time that a finished task stays. */
function lifetimeMs(terms: TaskTerms): number {
  return terms.maxRuntimeMs + terms.ttlMs;
}

/** Keys live a minute longer than the task, so that the gateway's clock decides when the task expires. */
function keyTtlMs(taskMs: number): number {
  return Math.ceil(taskMs) + 60_000;
}
