import type { JsonObject, JsonRpcError, JsonText, RequestId } from "../protocol/jsonrpc.ts";
import type { ProgramInfo } from "../protocol/modern.ts";
import type { TraceContext } from "../protocol/trace-context.ts";
import type { Outbox } from "./outbox.ts";
import type { SessionNotes } from "./session-notes.ts";
import type { Subscriptions } from "./subscriptions.ts";

/** 128 or more random bits in plain ASCII: the id is all that protects an anonymous caller's task. */
export type TaskId = string;
/** One run of one gateway process; new at every start, so that nobody mistakes a successor for an owner that died. */
export type ReplicaId = string;

/**
 * A request of the server to the client during a call, exactly as the server sent it. Each generation of clients has its own view,
 * which leaves out what that generation does not know.
 */
export interface InputRequest extends JsonObject {
  readonly method: string;
  readonly params?: JsonObject;
}

/** The client's answer to an `InputRequest`: like any JSON-RPC response, it may be an error. */
export type InputAnswer = { readonly result: JsonObject } | { readonly error: JsonRpcError };

/** The limits that the policy grants a call when it begins. All in milliseconds. */
export interface TaskTerms {
  /** How long the store keeps the task after its end. */
  readonly ttlMs: number;
  readonly pollIntervalMs: number;
  readonly maxPollIntervalMs: number;
  /** How long the call may run before the gateway cancels it. */
  readonly maxRuntimeMs: number;
}

/** Which clients made the task: by the revision in whose words they asked for it, `none` for those that know no tasks. */
export type Generation = "2026-07-28" | "2025-11-25" | "none";

/** What the gateway knows of a task when it creates it. */
export interface NewTask {
  readonly route: string;
  /** Names the caller that owns the task. */
  readonly caller: string;
  readonly tool: string;
  /** Absent: an older gateway made the task. */
  readonly generation?: Generation;
  readonly terms: TaskTerms;
  readonly statusMessage?: string;
  readonly inputRequests?: Readonly<Record<string, InputRequest>>;
  /** Whether `tasks/list` shows the task: only where the gateway can tell callers apart. Absent: no. */
  readonly isListed?: boolean;
  /** Stored apart from the record, because it can be large and never changes. Absent: the store keeps none. */
  readonly storedCall?: StoredCall;
  readonly checkpoint?: Checkpoint;
  /** Set while the call's server waits for answers and nothing runs there. The owner sends the next round as an unsent call. */
  readonly pause?: Pause;
  /**
   * Whether the call has certainly not been sent. The owner may then send it, after taking the task over once more with `takeOver`, so
   * that no other replica sends it as well. Absent: the call may have run.
   */
  readonly isUnsent?: boolean;
  /** Absent when the call cannot have further rounds. */
  readonly rounds?: Rounds;
  /** What happened to it so far, the oldest first, some lines left out in the middle of a long one. Absent: nothing. */
  readonly story?: readonly StoryLine[];
  /** By which the model of a client without tasks asks for the task. Absent: no model does. */
  readonly word?: string;
  /** Absent: the client gave no idempotency key. */
  readonly idempotency?: Idempotency;
  /** The trace context of the request that created the task, for whoever goes on with it. Absent: it has none, or its gateway keeps none. */
  readonly trace?: TraceContext;
}

/** What identifies the further rounds of a call (2026-07-28, MRTR §Server Requirements). */
export interface Rounds {
  /** Identifies the request, its caller and its arguments. */
  readonly request: string;
  /** Signs the request states that the gateway gives the client. */
  readonly key: string;
}

/** What is known of a task that its client can ask for again by an idempotency key. */
export interface Idempotency {
  /** Identifies what the client asked for: under the same key it may ask for nothing else. */
  readonly fingerprint: string;
  /** Identifies the creation, of several at the same time, that this record comes from. */
  readonly creation: string;
}

/** What a replica needs, apart from what the server knows, to make a call or to resume one of another replica. */
export interface StoredCall {
  readonly method: string;
  /** As the server gets them. Absent when no replica may ever send the call again. */
  readonly params?: JsonObject;
  /** What the client declared. Absent: the call runs in the client's own session, where the server asks the client itself. */
  readonly capabilities?: JsonObject;
  /** The client's program, to introduce it to the server. */
  readonly client?: ProgramInfo;
  /** The caller's headers that the gateway forwards. They may be credentials: only a sealed store may keep them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly logLevel?: string;
  /** Answers that came with the request, for questions that the server has not asked yet. */
  readonly answers?: JsonObject;
  /** The client's own session with the server, in which the gateway makes the call; absent: one of the gateway's sessions. */
  readonly joined?: { readonly id?: string; readonly protocolVersion: string };
  /** Whether the server speaks 2026-07-28 itself. Absent: no. */
  readonly isModern?: boolean;
  /** Whether a replica may send the call again although it may have run (`onLoss: retry`). Absent: no. */
  readonly mayRepeat?: boolean;
}

/**
 * Where another replica can resume a running call, if the server keeps the events of its streams (2025-11-25, Transports
 * §Resumability and Redelivery). The record already contains everything before `lastEventId`.
 */
export interface Checkpoint {
  /** The session of the call; without an id when the server has no sessions. */
  readonly session: {
    readonly id?: string;
    readonly protocolVersion: string;
    /** They keep the session at one node of the server, and may be credentials: only a sealed store may keep them. */
    readonly cookies?: readonly string[];
  };
  /** The ids that the server knows: of the request, and for its progress notifications. */
  readonly requestId: RequestId;
  readonly progressToken: RequestId;
  /** The last event on the request's own stream. */
  readonly lastEventId: string;
  /** The server's ids of the open questions, by key. */
  readonly asked: Readonly<Record<string, RequestId>>;
  /** Every key that the call has used: it uses none twice. */
  readonly usedKeys: readonly string[];
}

/**
 * Where another replica can go on with a call whose server has answered with questions: until the next round, whose params are those of
 * the stored call, the server runs nothing (2026-07-28, MRTR §Basic Workflow).
 */
export interface Pause {
  /** What the server wants back with the answers. Absent: nothing. */
  readonly requestState?: string;
  /** The server's names for the questions of this round, answered or not, by key. */
  readonly asked: Readonly<Record<string, string>>;
  /** Every key that the call has used: it uses none twice. */
  readonly usedKeys: readonly string[];
}

/** The `task:<id>` cell. Only the owner writes it. */
export interface TaskRecord extends Omit<NewTask, "storedCall"> {
  readonly id: TaskId;
  readonly owner: ReplicaId;
  /** How many times replicas have taken over the task; absent: never. */
  readonly turn?: number;
  /** Whether its last owner has given the task up (`giveUp`): all that is left to do is to end it. Absent: no. */
  readonly isGivenUp?: boolean;
  /** Milliseconds since the epoch, by the owner's clock. */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** The server's unanswered questions; with any, the task is `input_required`. */
  readonly inputRequests: Readonly<Record<string, InputRequest>>;
}

/** One thing in the life of a task, for an operator. */
export interface StoryLine {
  /** Milliseconds since the epoch, by the clock of the gateway where it happened. */
  readonly at: number;
  readonly what: "sent" | "asked" | "answered" | "detached" | "adopted" | "left";
  /** How many questions or answers. */
  readonly count?: number;
  /** Where it happened. */
  readonly replica?: ReplicaId;
}

/** After so many takeovers a task is not going to succeed, and each makes it slower to read. */
export const MAX_TURNS = 32;

/** What the record says of a call before its server has said anything. */
export const [WAITS, RUNS] = ["queued", "running"] as const;

/** What the owner may change in its record or beside it. An absent or `undefined` member stays as it was. */
export type Change = Partial<
  Pick<
    NewTask,
    "statusMessage" | "inputRequests" | "checkpoint" | "pause" | "storedCall" | "isUnsent" | "story"
  >
>;

/**
 * How a task ended. `lost`: nobody saw the end, because the gateway that ran the call stopped. A tool result with `isError` is
 * `completed`; each generation of clients gets its own view of that.
 */
export type Outcome =
  | {
      readonly kind: "completed";
      readonly endedAt: number;
      readonly result: JsonText;
      /** The tool's message when its result has `isError`; 2025-11-25 shows such a task as failed. */
      readonly failure?: string;
    }
  | {
      readonly kind: "failed";
      readonly endedAt: number;
      readonly error: JsonRpcError;
      /** Whether the gateway itself made the error: its code then needs no translation for any client. */
      readonly isOurs?: boolean;
      /** Whether a server that speaks 2026-07-28 made the error: its code then has the meaning of that revision. */
      readonly isModern?: boolean;
    }
  | { readonly kind: "cancelled"; readonly endedAt: number; readonly reason?: string }
  | { readonly kind: "lost"; readonly endedAt: number; readonly reason: string };

/**
 * A task as any replica sees it: the owner's record and, once the task has ended, its outcome. The record is then the one that the
 * task ended with, without questions, whatever its owner still writes.
 */
export interface TaskView {
  readonly task: TaskRecord;
  readonly outcome?: Outcome;
}

/** Who owns a task: one caller on one route. Both may be any string. */
export interface TaskOwner {
  readonly route: string;
  readonly caller: string;
}

export function isOwnedBy({ route, caller }: TaskRecord, owner: TaskOwner): boolean {
  return route === owner.route && caller === owner.caller;
}

/** Which part of a list to read. */
export interface PageRequest {
  /** The `nextCursor` of the page before; absent for the first page. */
  readonly cursor?: string | undefined;
  /** The most tasks a page may hold; 1 or more. */
  readonly limit: number;
}

/** Where a task is in the index of all. */
export interface TaskPlace {
  readonly createdAt: number;
  readonly id: TaskId;
}

/** What a gateway says of itself to the others. */
export interface ReplicaFacts {
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

export interface ReplicaInfo extends Partial<ReplicaFacts> {
  readonly id: ReplicaId;
  readonly isMe: boolean;
  readonly isAlive: boolean;
  /** How many of its tasks have not ended; counted up to `MAX_COUNTED`. */
  readonly tasks: number;
}

/** A part of the list of one caller's tasks. */
export interface TaskPage {
  readonly tasks: readonly TaskView[];
  /** Present if and only if more tasks may follow. */
  readonly nextCursor?: string;
}

/**
 * A hint to look at the store. Losing one costs time, never correctness. `left`: a stopping replica has given up its tasks.
 * `missed`: any nudges may have been lost; `isRoutine`: nothing says that they were, it is only time to look.
 */
export type Nudge =
  | { readonly kind: "changed" | "answered" | "ended"; readonly id: TaskId }
  | { readonly kind: "left"; readonly replica: ReplicaId }
  /** A client's subscription was granted, refreshed or ended; or something waits for it. */
  | { readonly kind: "granted" | "told"; readonly id: string }
  | { readonly kind: "missed"; readonly isRoutine?: true };

/**
 * Where tasks live. Two rules make it safe without transactions: a key either has one writer or is written once, and a writer of a
 * write-once key gets the value that the store holds.
 *
 * Every method rejects with `StoreUnavailable` when the store does not answer; a write may then have been made or not.
 */
export interface TaskStore {
  /** The store's url, without credentials. */
  readonly url: string;
  readonly me: ReplicaId;
  /** Whether tasks outlast this process. */
  readonly isLasting: boolean;
  /** Whether the store encrypts its values: only then may they contain credentials. */
  readonly isSealed: boolean;
  /** About how many bytes of this process's memory the store takes. Absent: hardly any. */
  readonly heldBytes?: number;
  /** Whether the store accepts writes, as far as known without trying; only a store on this machine knows. */
  readonly isWritable: boolean;
  /** What others are to be told of tasks. */
  readonly outbox: Outbox;
  /** Of clients, to what happens to their tasks. */
  readonly subscriptions: Subscriptions;
  readonly sessionNotes: SessionNotes;
  /**
   * Whether no other replica can have taken over this replica's tasks: its last heartbeat is younger than its lease, or the store has no
   * other replicas. A client may still have cancelled a task at another replica without this one knowing yet.
   */
  readonly holdsLease: boolean;
  /** Milliseconds since the epoch, by the clock that expires tasks, about the same for all users of the store. Absent: the process's. */
  now?(): number;
  /** By how many milliseconds somebody has set that clock ahead since it said `at`: this time has not really passed. Absent: 0. */
  jumpedSince?(at: number): number;
  newId(): TaskId;
  /** Resolves once the record and, for a listed task, its list entry are durable. Repeating it with the same id is harmless. */
  create(task: NewTask, id?: TaskId): Promise<TaskRecord>;
  /**
   * As `create`, unless there is a task with this id: then resolves with that one. `undefined`: the task with this id has expired, and the
   * store still keeps something of it.
   */
  createOnce(task: NewTask, id: TaskId): Promise<TaskView | undefined>;
  /**
   * Reads a task, with only unanswered questions in `inputRequests`. `undefined`: unknown or expired.
   * @param reader who asks: for another owner's task the store may read no more than that, so that it takes as long as for an unknown
   * task
   */
  read(id: TaskId, reader?: TaskOwner): Promise<TaskView | undefined>;
  /** How a task ended, even when it has expired for `read`; `undefined`: it has not ended, or the store has dropped its outcome. */
  ending(id: TaskId): Promise<Outcome | undefined>;
  /**
   * The listed tasks of one caller on one route that `read` still finds, oldest first (2025-11-25, Tasks §Task Listing). `undefined` when
   * the cursor does not come from a page of this list; a cursor stays valid when its task has gone.
   *
   * A page can hold fewer tasks than the limit, or none, and still have a cursor: the work per page is bounded. Tasks that are created
   * while a client pages come at the end, or not at all when the clock was set back.
   */
  list(owner: TaskOwner, page: PageRequest): Promise<TaskPage | undefined>;
  /**
   * The ids of the tasks of all callers, those created last first, at most `limit` after the place; without one from the beginning. Some may
   * have gone. None unless the store keeps an index (`isIndexed`).
   */
  newest(limit: number, after?: TaskPlace): Promise<readonly TaskPlace[]>;
  /** The replicas that may be alive, this one among them; on a store of one process that is this one. */
  aliveReplicas(): Promise<readonly ReplicaId[]>;
  /** The gateways that use the store, in no order, and those that did a short time ago. */
  replicas(): Promise<readonly ReplicaInfo[]>;
  /**
   * Writes a record again that the store has lost, because somebody emptied it or it lost its latest writes. Only the owner may call
   * this. Changes nothing if another replica owns the task by now.
   */
  restore(task: TaskRecord, storedCall: StoredCall | undefined): Promise<void>;
  /** Only the owner may call this, one call at a time for a task. Resolves with the record as it now is. */
  update(task: TaskRecord, change: Change): Promise<TaskRecord>;
  /**
   * Takes a task over from its owner, which may be this replica. The first replica wins; nobody sees what a former owner still writes.
   * `isIdle`: an unsent call stays unsent, and a paused one paused; absent when the call, or its next round, is about to be sent.
   * `undefined`: another replica has taken the task over since `task` was read, or replicas have taken it over `MAX_TURNS` times.
   */
  takeOver(task: TaskRecord, isIdle?: boolean): Promise<TaskRecord | undefined>;
  /**
   * Gives up a task with whose call nobody can go on, so that it can be ended as lost: from then on nobody takes it over. Any number of
   * replicas may give it up. `undefined`: another replica has taken it over since `task` was read.
   */
  giveUp(task: TaskRecord): Promise<TaskRecord | undefined>;
  /** Ends a task. The first outcome wins; every caller gets that one. */
  end(task: TaskRecord, outcome: Outcome): Promise<Outcome>;
  /** Records the client's answer to a question. The first answer to a key wins. */
  answer(task: TaskRecord, key: string, answer: InputAnswer): Promise<void>;
  /** The recorded answers to these questions, by key. */
  answers(id: TaskId, keys: readonly string[]): Promise<ReadonlyMap<string, InputAnswer>>;
  /**
   * Whether a replica may still be running its calls. `true` for every replica while this one could not itself reach the store a
   * short time ago: then it cannot know.
   */
  isAlive(replica: ReplicaId): Promise<boolean>;
  /** Whether this replica knows of no other gateway that uses the store now. */
  isAlone(): Promise<boolean>;
  /** What a replica needs to make the task's call again; `undefined` when the store keeps nothing. */
  storedCall(id: TaskId): Promise<StoredCall | undefined>;
  /** Records that the client knows the task's id. */
  tell(task: TaskRecord): Promise<void>;
  isTold(id: TaskId): Promise<boolean>;
  /**
   * Calls `visit` with tasks that had not ended when their owner died, a few at a time; each may have ended meanwhile. `visit` resolves
   * with whether the task no longer belongs to that owner; the store then never shows it again.
   */
  orphans(visit: (id: TaskId, owner: ReplicaId) => Promise<boolean>): Promise<void>;
  /** 32 random bytes, the same for all users of the store while it keeps tasks: a key for names that must not reveal what they name. */
  secret(): Promise<Buffer>;
  /** Gives up all remaining tasks: other replicas may take them over at once. The caller must write nothing afterwards. */
  leave(): Promise<void>;
  /** Calls `listener` when this or another replica changes any task. Returns a function that stops it. */
  watch(listener: (nudge: Nudge) => void): () => void;
  close(): Promise<void>;
}

/** The store did not accept or return a value; a write may have been made or not. */
export class StoreUnavailable extends Error {
  override name = "StoreUnavailable";
}

/** The store answered with a value that the gateway cannot read or does not trust: trying again does not help. */
export class UnreadableValue extends StoreUnavailable {
  override name = "UnreadableValue";
}

/** Whether the store is away for now, so that another try may succeed. */
export function isAway(error: unknown): error is StoreUnavailable {
  return error instanceof StoreUnavailable && !(error instanceof UnreadableValue);
}
