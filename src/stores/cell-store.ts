import { randomBytes } from "node:crypto";
import type { Backend } from "./backend.ts";
import type { StoreOptions } from "./options.ts";
import { listEntry, readPage } from "./task-list.ts";
import type {
  Change,
  InputAnswer,
  InputRequest,
  NewTask,
  Nudge,
  Outcome,
  PageRequest,
  ReplicaId,
  TaskId,
  TaskOwner,
  TaskPage,
  TaskRecord,
  TaskStore,
  TaskTerms,
  TaskView,
} from "./task-store.ts";

/**
 * A task store of cells over a backend of one process.
 *
 * `task:<id>` is written by the owner alone. `end:<id>` is write-once and holds the outcome together with the record as it was
 * when the task ended, so that a finished task stays as it is and stays readable, whatever becomes of `task:<id>`.
 * `in:<id>:<key>` is write-once: the answer to a question of the server.
 *
 * A listed task has an entry in its owner's list, written along with the cells. It says nothing but that there is such a task,
 * so that anybody may write it.
 */
export class CellStore implements TaskStore {
  readonly url: string;
  readonly me: ReplicaId = randomBytes(9).toString("base64url");
  readonly #backend: Backend;
  readonly #clock: () => number;
  readonly #newId: () => TaskId;

  constructor(url: string, backend: Backend, options: StoreOptions = {}) {
    this.url = url;
    this.#backend = backend;
    this.#clock = options.clock ?? Date.now;
    this.#newId = options.newId ?? randomId;
  }

  async create(task: NewTask): Promise<TaskRecord> {
    const now = this.#clock();
    const record = {
      ...task,
      id: this.#newId(),
      owner: this.me,
      createdAt: now,
      updatedAt: now,
      inputRequests: task.inputRequests ?? {},
    };
    const lifetime = lifetimeMs(task.terms);
    // Long enough for all changes within one lifetime, so that those need not write it again.
    const entry = listEntry(record, keyTtlMs(2 * lifetime));
    await this.#backend.set(taskKey(record.id), record, keyTtlMs(lifetime), entry);
    return record;
  }

  async read(id: TaskId): Promise<TaskView | undefined> {
    if (!isTaskId(id)) return undefined;
    const [task, end] = (await this.#backend.getMany([taskKey(id), endKey(id)])) as [TaskRecord?, EndCell?];
    const now = this.#clock();
    if (end) return now > end.outcome.endedAt + end.task.terms.ttlMs ? undefined : end;
    if (!task || now > task.updatedAt + lifetimeMs(task.terms)) return undefined;
    return { task: await this.#withoutAnswered(task) };
  }

  list(owner: TaskOwner, page: PageRequest): Promise<TaskPage | undefined> {
    return readPage(this.#backend, owner, page, (id) => this.read(id));
  }

  async update(task: TaskRecord, change: Change): Promise<TaskRecord> {
    const { statusMessage = task.statusMessage, inputRequests = task.inputRequests } = change;
    // A clock may be set back; the time of the last change may not.
    const updatedAt = Math.max(this.#clock(), task.updatedAt, task.createdAt);
    const message = statusMessage === undefined ? {} : { statusMessage };
    const record = { ...task, ...message, inputRequests, updatedAt };
    const lifetime = lifetimeMs(task.terms);
    const entry = updatedAt > task.createdAt + lifetime ? listEntry(task, keyTtlMs(lifetime)) : undefined;
    await this.#backend.set(taskKey(task.id), record, keyTtlMs(lifetime), entry);
    this.#backend.publish({ kind: "changed", id: task.id });
    return record;
  }

  async end(task: TaskRecord, outcome: Outcome): Promise<Outcome> {
    const mine: EndCell = { task: { ...task, inputRequests: {} }, outcome };
    // From now on no longer than the task can be read: lists are not to be full of what has gone.
    const stay = Math.max(0, outcome.endedAt - this.#clock()) + task.terms.ttlMs;
    const entry = listEntry(task, keyTtlMs(stay));
    const ttl = keyTtlMs(lifetimeMs(task.terms));
    const standing = (await this.#backend.claim(endKey(task.id), mine, ttl, entry)) as EndCell;
    // Also by those who came late: the first may have died between its write and its nudge.
    this.#backend.publish({ kind: "ended", id: task.id });
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

  /** The store belongs to one process, so whoever else ran a call here is gone. */
  async isAlive(replica: ReplicaId): Promise<boolean> {
    return replica === this.me;
  }

  watch(listener: (nudge: Nudge) => void): () => void {
    return this.#backend.watch(listener);
  }

  close(): Promise<void> {
    return this.#backend.close();
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

interface EndCell {
  readonly task: TaskRecord;
  readonly outcome: Outcome;
}

const ID_BYTES = 18;
/** Randomness for many ids is fetched at once: asking for so little each time costs ten times as much. */
const pool = { bytes: Buffer.alloc(0), used: 0 };

function randomId(): TaskId {
  if (pool.used === pool.bytes.length) {
    pool.bytes = randomBytes(ID_BYTES * 256);
    pool.used = 0;
  }
  pool.used += ID_BYTES;
  return pool.bytes.toString("base64url", pool.used - ID_BYTES, pool.used);
}

/** Anything else never came from here: it does not reach the backend, whatever its length and its colons. */
function isTaskId(id: string): boolean {
  return /^[\w-]{1,128}$/.test(id);
}

const taskKey = (id: TaskId) => `task:${id}`;
const endKey = (id: TaskId) => `end:${id}`;
const answerKey = (id: TaskId, key: string) => `in:${id}:${key}`;

/** How long an unfinished task can matter after its owner last wrote: a run to the limit, and the stay after that. */
function lifetimeMs(terms: TaskTerms): number {
  return terms.maxRuntimeMs + terms.ttlMs;
}

/** A minute more than the task, so that our own clock decides when it is gone. */
function keyTtlMs(taskMs: number): number {
  return Math.ceil(taskMs) + 60_000;
}
