import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { Recent } from "../lib/recent.ts";
import { taskName } from "../log/task-name.ts";
import {
  type TaskId,
  type TaskPlace,
  type TaskStore,
  type TaskView,
  UnreadableValue,
} from "../store/task-store.ts";
import type { TaskEngine } from "../tasks/engine.ts";
import {
  STATUSES,
  type Status,
  statusOf,
  storyOf,
  summaryOf,
  type TaskStory,
  type TaskSummary,
} from "./task-summary.ts";

export interface AdminTasksOptions {
  readonly store: TaskStore;
  readonly engine: TaskEngine;
  readonly nameOf: (caller: string) => string;
  /** As `admin.payloads`. */
  readonly withPayloads: boolean;
}

/** Which tasks to list. What is absent does not matter. */
export interface TaskFilter {
  readonly server?: string | undefined;
  readonly tool?: string | undefined;
  readonly status?: Status | undefined;
  readonly caller?: string | undefined;
  /** Created so long ago at most. */
  readonly maxAgeMs?: number | undefined;
}

export interface TaskListRequest extends TaskFilter {
  /** 1 or more. */
  readonly limit: number;
  /** The `nextCursor` of the page before, with the same filter. */
  readonly cursor?: string | undefined;
}

export interface TaskListing {
  /** Those created last first. */
  readonly tasks: readonly TaskSummary[];
  /** Present if there may be more. */
  readonly nextCursor?: string;
  /** How many of the tasks that were looked at for this page have each status, whether or not the filter wants it. */
  readonly counts: Readonly<Record<Status, number>>;
  /** How many those are: all that there are, unless there is a `nextCursor`. */
  readonly looked: number;
}

export type Cancelled =
  | { readonly kind: "cancelled"; readonly task: TaskStory }
  /** It had ended before. */
  | { readonly kind: "over"; readonly task: TaskStory }
  | { readonly kind: "unknown" };

/** So many members of the index are read at once, and so many tasks for one page. */
const PLACES = 200;
const MAX_LOOKED = 2_000;
/** A task comes with its result: a page ends early once it has read so much. */
const MAX_CHARS = 16_000_000;
/** Among how many of the last tasks a name is looked for, and how many names are then known without another walk through the index. */
export const MAX_NAMES = 20_000;
const CURSOR = /^(\d{1,16})\.([0-9a-f]{12})\.([\w-]{8})$/;

/** The tasks of all callers, for the operator. Knows them by their names; whoever knows an id owns the task. */
export class AdminTasks {
  readonly #options: AdminTasksOptions;
  readonly #ids = new Recent<string, TaskId>(MAX_NAMES);

  constructor(options: AdminTasksOptions) {
    this.#options = options;
  }

  /** Those created last first. `undefined`: the cursor is none of a list with this filter. @throws StoreUnavailable */
  async list({ limit, cursor, ...filter }: TaskListRequest): Promise<TaskListing | undefined> {
    const digest = digestOf(filter);
    const start = cursor === undefined ? undefined : readCursor(cursor, digest);
    if (cursor !== undefined && start === undefined) return undefined;
    const { engine, nameOf } = this.#options;
    const counts: Record<Status, number> = zeros();
    const tasks: TaskSummary[] = [];
    let [looked, chars] = [0, 0];
    const now = engine.now();
    for await (const place of this.#walk(start)) {
      const isTooOld = filter.maxAgeMs !== undefined && place.createdAt < now - filter.maxAgeMs;
      if (isTooOld) break;
      if (tasks.length >= limit || looked >= MAX_LOOKED || chars >= MAX_CHARS)
        return { tasks, counts, looked, nextCursor: cursorBefore(place, digest) };
      const view = await this.#read(place.id);
      if (view === undefined) continue;
      looked += 1;
      chars += view.outcome?.kind === "completed" ? view.outcome.result.length : 0;
      counts[statusOf(view.task, view.outcome)] += 1;
      const summary = summaryOf(view, { now, nameOf });
      if (isWanted(summary, filter)) tasks.push(summary);
    }
    return { tasks, counts, looked };
  }

  /** A task of this name. `undefined`: there is none among the last `MAX_NAMES`, nor among those listed since. @throws StoreUnavailable */
  async find(name: string): Promise<TaskStory | undefined> {
    const view = await this.#find(name);
    return view && this.#story(view);
  }

  /** Cancels a task that has not ended. @throws StoreUnavailable */
  async cancel(name: string): Promise<Cancelled> {
    const found = await this.#find(name);
    if (found === undefined) return { kind: "unknown" };
    if (found.outcome !== undefined) return { kind: "over", task: this.#story(found) };
    const { view, hasEnded } = await this.#options.engine.cancel(
      found.task.id,
      found.task,
      undefined,
      "operator",
    );
    return { kind: hasEnded ? "cancelled" : "over", task: this.#story(view) };
  }

  #story(view: TaskView): TaskStory {
    const { engine, nameOf, withPayloads } = this.#options;
    return storyOf(view, { now: engine.now(), nameOf }, withPayloads);
  }

  async #find(name: string): Promise<TaskView | undefined> {
    const known = this.#ids.get(name);
    if (known !== undefined) return this.#read(known);
    let looked = 0;
    for await (const { id } of this.#walk()) {
      if (taskName(id) === name) return this.#read(id);
      looked += 1;
      if (looked >= MAX_NAMES) break;
      // A store in memory answers in the same turn of the loop, and all other requests would wait for the whole walk.
      if (looked % PLACES === 0) await setImmediate();
    }
    return undefined;
  }

  /** Damage is told where a client asks for the task; here it must not hide the others. */
  async #read(id: TaskId): Promise<TaskView | undefined> {
    const { store } = this.#options;
    return store.read(id).catch((error: unknown) => {
      if (error instanceof UnreadableValue) return undefined;
      throw error;
    });
  }

  /** The index from its end, or from the task at which a page is to begin. */
  async *#walk(start?: Start): AsyncIterable<TaskPlace> {
    const { store } = this.#options;
    let after: TaskPlace | undefined = start && { createdAt: start.createdAt + 1, id: "" };
    let isThere = start === undefined;
    for (;;) {
      const places = await store.newest(PLACES, after);
      for (const place of places) {
        const name = taskName(place.id);
        // If the task has gone meanwhile, the page begins with the next older one.
        isThere ||= name === start?.name || place.createdAt < (start?.createdAt ?? 0);
        if (!isThere) continue;
        this.#ids.set(name, place.id);
        yield place;
      }
      after = places.at(-1);
      if (places.length < PLACES) return;
    }
  }
}

interface Start {
  readonly createdAt: number;
  readonly name: string;
}

function isWanted(task: TaskSummary, { server, tool, status, caller }: TaskFilter): boolean {
  return (
    (server === undefined || task.server === server) &&
    (tool === undefined || task.tool === tool) &&
    (status === undefined || task.status === status) &&
    (caller === undefined || task.caller === caller)
  );
}

function zeros(): Record<Status, number> {
  return Object.fromEntries(STATUSES.map((status) => [status, 0])) as Record<Status, number>;
}

/** The cursor of a page that begins with this task. It has the task's name and not its id, which would be a key to it. */
function cursorBefore({ createdAt, id }: TaskPlace, digest: string): string {
  return `${createdAt}.${taskName(id)}.${digest}`;
}

function readCursor(cursor: string, digest: string): Start | undefined {
  const [, createdAt, name, given] = CURSOR.exec(cursor) ?? [];
  if (createdAt === undefined || name === undefined || given !== digest) return undefined;
  return { createdAt: Number(createdAt), name };
}

function digestOf({ server, tool, status, caller, maxAgeMs }: TaskFilter): string {
  const text = JSON.stringify([server, tool, status, caller, maxAgeMs]);
  return createHash("sha256").update(text).digest("base64url").slice(0, 8);
}
