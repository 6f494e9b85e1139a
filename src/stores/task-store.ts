import type { JsonObject, JsonRpcError, JsonText, RequestId } from "../protocol/jsonrpc.ts";

/** 128 bits or more of randomness in plain ASCII: it is the only key to an anonymous caller's task. */
export type TaskId = string;
/** One run of one gateway process; new at every start, so that an owner that died is never mistaken for its successor. */
export type ReplicaId = string;

/**
 * What a server asked of the client in the middle of a call, exactly as it asked: each generation of clients has its own view,
 * which leaves out what that generation does not know.
 */
export interface InputRequest extends JsonObject {
  readonly method: string;
  readonly params?: JsonObject;
}

/** What the client said to it: like any JSON-RPC response, it may be an error. */
export type InputAnswer = { readonly result: JsonObject } | { readonly error: JsonRpcError };

/** The limits that the policy granted when the call began. All in milliseconds. */
export interface TaskTerms {
  /** How long the task stays once it has ended. */
  readonly ttlMs: number;
  readonly pollIntervalMs: number;
  readonly maxPollIntervalMs: number;
  /** How long the upstream call may run before it is cancelled. */
  readonly maxRuntimeMs: number;
}

/** What is known when a task is created. */
export interface NewTask {
  readonly route: string;
  /** Names the caller the task belongs to. */
  readonly caller: string;
  readonly tool: string;
  readonly terms: TaskTerms;
  readonly statusMessage?: string;
  readonly inputRequests?: Readonly<Record<string, InputRequest>>;
  /** Whether the owner's tasks can be listed: only where callers are told apart. Absent: no. */
  readonly isListed?: boolean;
  /** Kept apart from the record, because it never changes and can be large. Absent: none is kept. */
  readonly recipe?: CallRecipe;
  readonly checkpoint?: Checkpoint;
  /**
   * Whether the call has certainly not been sent: then whoever owns the task may send it, after taking it over once more with
   * `adopt`, so that nobody else sends it as well. Absent: it may have run.
   */
  readonly isUnsent?: boolean;
  /** Absent when the call cannot have further rounds. */
  readonly rounds?: Rounds;
}

/** By which the further rounds of a call are known (2026-07-28, MRTR §Server Requirements). */
export interface Rounds {
  /** Names the request, its caller and its arguments. */
  readonly request: string;
  /** Signs the states that the client is given. */
  readonly key: string;
}

/** What it takes, apart from what the server knows, to make a call or to pick it up where somebody else had to leave it. */
export interface CallRecipe {
  readonly method: string;
  /** As the server gets them. Absent when the call is never to be sent again. */
  readonly params?: JsonObject;
  /** What the client declared. Absent: the session is the client's own, and questions are between the two of them. */
  readonly capabilities?: JsonObject;
  /** The caller's own headers that are passed on. May be credentials: kept only where nobody can read them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly logLevel?: string;
  /** Answers that came with the request, to questions that the server has yet to ask. */
  readonly answers?: JsonObject;
  /** The client's own session with the server, in which the call is made; absent: one of the gateway's. */
  readonly joined?: { readonly id?: string; readonly protocolVersion: string };
  /** Whether the server speaks 2026-07-28 itself. Absent: no. */
  readonly isModern?: boolean;
  /** Whether the call may be sent again though it may have run (`onLoss: retry`). Absent: no. */
  readonly mayRepeat?: boolean;
}

/**
 * Where somebody else can pick up a call that is under way at a server which keeps the events of its streams (2025-11-25,
 * Transports §Resumability and Redelivery). What came before `lastEventId` is in the record already.
 */
export interface Checkpoint {
  /** The session of the call; its id is absent where the server has no sessions. */
  readonly session: {
    readonly id?: string;
    readonly protocolVersion: string;
    /** What keeps it at one node of the server, and may be a credential: kept only where nobody can read it. */
    readonly cookies?: readonly string[];
  };
  /** Under which the server knows the request, and under which it tells its progress. */
  readonly requestId: RequestId;
  readonly progressToken: RequestId;
  /** The last event that arrived on the request's own stream. */
  readonly lastEventId: string;
  /** The server's own ids of the questions that are open, by key. */
  readonly asked: Readonly<Record<string, RequestId>>;
  /** Every key that the call has used: none is used twice. */
  readonly usedKeys: readonly string[];
}

/** The `task:<id>` cell. Written by the owner only. */
export interface TaskRecord extends Omit<NewTask, "recipe"> {
  readonly id: TaskId;
  readonly owner: ReplicaId;
  /** How often the task has been adopted; absent: never. */
  readonly turn?: number;
  /** Milliseconds since the epoch, by the clock of the owner. */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Questions of the server that nobody has answered yet; any makes the task `input_required`. */
  readonly inputRequests: Readonly<Record<string, InputRequest>>;
}

/** A task that has changed hands so often is not going to end well, and every time makes it slower to read. */
export const MAX_TURNS = 32;

/** What the owner may change in its record, or keep beside it. Absent: as it was; `undefined` is not a change. */
export type Change = Partial<
  Pick<NewTask, "statusMessage" | "inputRequests" | "checkpoint" | "recipe" | "isUnsent">
>;

/**
 * How a task ended: a closed list. `lost` is an ending that nobody saw, because the gateway that ran the call stopped.
 * A tool result with `isError` is `completed`; each generation of clients gets its own view of that.
 */
export type Outcome =
  | {
      readonly kind: "completed";
      readonly endedAt: number;
      readonly result: JsonText;
      /** What the tool said when it called its own result an error (`isError`); 2025-11-25 shows such a task as failed. */
      readonly failure?: string;
    }
  | {
      readonly kind: "failed";
      readonly endedAt: number;
      readonly error: JsonRpcError;
      /** Whether it is the gateway's own error: then its code needs no translation for anybody. */
      readonly isOurs?: boolean;
      /** Whether the server that made it speaks 2026-07-28 itself: then the code means what it means there. */
      readonly isModern?: boolean;
    }
  | { readonly kind: "cancelled"; readonly endedAt: number; readonly reason?: string }
  | { readonly kind: "lost"; readonly endedAt: number; readonly reason: string };

/**
 * A task as any replica sees it: the owner's record and, once it has ended, what stands. From then on the record is the one that
 * the task ended with, without questions, whatever its owner still writes.
 */
export interface TaskView {
  readonly task: TaskRecord;
  readonly outcome?: Outcome;
}

/** Whose tasks: one caller's on one route. Both may be any string. */
export interface TaskOwner {
  readonly route: string;
  readonly caller: string;
}

/** Whether a task is somebody's. */
export function isOwnedBy({ route, caller }: TaskRecord, owner: TaskOwner): boolean {
  return route === owner.route && caller === owner.caller;
}

/** Which part of a list is wanted. */
export interface PageRequest {
  /** What the page before gave; absent for the first. */
  readonly cursor?: string | undefined;
  /** The most tasks that a page may hold; 1 or more. */
  readonly limit: number;
}

/** A part of the list of a caller's tasks. */
export interface TaskPage {
  readonly tasks: readonly TaskView[];
  /** There if and only if more may follow. */
  readonly nextCursor?: string;
}

/**
 * A hint to look at the store. Losing one costs time, never correctness. `left`: a replica has let go of its tasks. `missed`:
 * anything may have happened unheard.
 */
export type Nudge =
  | { readonly kind: "changed" | "answered" | "ended"; readonly id: TaskId }
  | { readonly kind: "left"; readonly replica: ReplicaId }
  | { readonly kind: "missed" };

/**
 * Where tasks live. Two rules make it safe without transactions: one key has one writer or is written once,
 * and whoever writes a write-once key is told what stands.
 *
 * Every method rejects with `StoreUnavailable` when the store did not answer, and then nothing is known.
 */
export interface TaskStore {
  /** The url it was opened with, credentials left out. */
  readonly url: string;
  readonly me: ReplicaId;
  /** Whether what it keeps outlasts this process. */
  readonly isLasting: boolean;
  /** Whether nobody who sees the store's contents can read them: only then may they contain credentials. */
  readonly isSealed: boolean;
  /** How many bytes of this process's memory it takes, more or less. Absent: none to speak of. */
  readonly heldBytes?: number;
  /** Whether it takes writes, as far as that is known without trying: of a store on this machine it is. */
  readonly isWritable: boolean;
  /**
   * Whether nobody else can have taken over the tasks of this replica: it was heard within its lease, or there is nobody else. That a
   * client has cancelled one elsewhere may not have been heard all the same.
   */
  readonly holdsLease: boolean;
  /** Milliseconds since the epoch, by the clock by which tasks end: the same for all who use the store, more or less. Absent: that of the process. */
  now?(): number;
  /** By how much that clock has been set ahead, and is not to be believed, since it said `at`. Milliseconds. Absent: not at all. */
  jumpedSince?(at: number): number;
  newId(): TaskId;
  /**
   * Resolves once the record is durable, and its place in the list of its owner's tasks if it has one. To repeat it with the same id
   * is harmless.
   */
  create(task: NewTask, id?: TaskId): Promise<TaskRecord>;
  /**
   * `undefined`: unknown or expired. Answered questions are left out of `inputRequests`.
   * @param reader who wants it: of a task that is not theirs no more may be read than that, so that it takes as long as one that
   * is not there
   */
  read(id: TaskId, reader?: TaskOwner): Promise<TaskView | undefined>;
  /** How a task ended, also when it is over and `read` knows nothing of it any more; `undefined`: it has not ended, or that has gone. */
  ending(id: TaskId): Promise<Outcome | undefined>;
  /**
   * The listed tasks of one caller on one route that can still be read, oldest first (2025-11-25, Tasks §Task Listing).
   * `undefined` when the cursor is none that a page of this list gave; that its task has gone does it no harm.
   *
   * A page can hold fewer tasks than the limit, or none, and have a cursor all the same: the work for one is bounded. Tasks
   * that are created while somebody pages come at the end, or not at all when the clock was set back.
   */
  list(owner: TaskOwner, page: PageRequest): Promise<TaskPage | undefined>;
  /**
   * Writes a record again that the store has forgotten, because it was emptied or has lost what was written last; by the owner only. Should
   * somebody else have the task by now, nothing changes.
   */
  restore(task: TaskRecord, recipe: CallRecipe | undefined): Promise<void>;
  /** Called by the owner only, one call at a time for a task. Resolves with the record as it now is. */
  update(task: TaskRecord, change: Change): Promise<TaskRecord>;
  /**
   * Takes a task over from its owner, which may be this replica: whoever comes first does, and from then on what another owner
   * writes into its record is not seen any more. `isUnsent` as in `NewTask`: absent when the call is about to be sent.
   * `undefined`: somebody else has taken it over since `task` was read, or that has happened `MAX_TURNS` times.
   */
  adopt(task: TaskRecord, isUnsent?: boolean): Promise<TaskRecord | undefined>;
  /** The first outcome stands; everyone gets the one that does. */
  end(task: TaskRecord, outcome: Outcome): Promise<Outcome>;
  /** The first answer to a key stands. */
  answer(task: TaskRecord, key: string, answer: InputAnswer): Promise<void>;
  /** Those that there are, by key. */
  answers(id: TaskId, keys: readonly string[]): Promise<ReadonlyMap<string, InputAnswer>>;
  /**
   * Whether a replica may still be running its calls. A replica that could not reach the store itself a while ago takes everybody
   * to be alive: it cannot know.
   */
  isAlive(replica: ReplicaId): Promise<boolean>;
  /** Whether no other gateway is known to use the store now. */
  isAlone(): Promise<boolean>;
  /** What it takes to make the call of a task; `undefined` when nothing was kept. */
  recipe(id: TaskId): Promise<CallRecipe | undefined>;
  /** Notes that the client knows the task by its id, once and for all. */
  tell(task: TaskRecord): Promise<void>;
  isTold(id: TaskId): Promise<boolean>;
  /**
   * Shows tasks that had not ended when their owner died, a few at a time; each may have ended meanwhile. `visit` says
   * whether the task is no longer that owner's: then it is not shown again.
   */
  orphans(visit: (id: TaskId, owner: ReplicaId) => Promise<boolean>): Promise<void>;
  /** 32 random bytes, the same for all who use the store, for as long as it keeps tasks: a key for what has to be named without being told. */
  secret(): Promise<Buffer>;
  /** Lets go of all tasks that are left: from now on anybody may adopt them. Nothing else may be written after that. */
  leave(): Promise<void>;
  /** Calls back on changes of any task, by this replica or another. Returns how to stop. */
  watch(listener: (nudge: Nudge) => void): () => void;
  close(): Promise<void>;
}

/** The store did not take or give a value; whether a write was made is not known. */
export class StoreUnavailable extends Error {
  override name = "StoreUnavailable";
}

/** The store answers, but with a value that cannot be read or is not believed: waiting makes it no better. */
export class UnreadableValue extends StoreUnavailable {
  override name = "UnreadableValue";
}
