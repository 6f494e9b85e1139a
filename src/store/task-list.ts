import { createHash } from "node:crypto";
import { toJson } from "../protocol/jsonrpc.ts";
import { type Backend, LIST_END, type ListEntry } from "./backend.ts";
import type {
  PageRequest,
  TaskId,
  TaskOwner,
  TaskPage,
  TaskPlace,
  TaskRecord,
  TaskView,
} from "./task-store.ts";

/**
 * A listed task's entry in the list of its owner's tasks: ordered by creation, then by id within one millisecond. It never changes.
 * `undefined` for a task that is not listed.
 */
export function listEntry(task: TaskRecord, ttlMs: number): ListEntry | undefined {
  if (!task.isListed) return undefined;
  return { list: listOf(task), member: ageOf(task.createdAt) + task.id, ttlMs };
}

/** The index of all tasks, in the order of their creation. It names no caller. */
const INDEX = "tasks";

/** A task's entry in the index of all tasks. */
export function indexEntry({ createdAt, id }: TaskPlace, ttlMs: number): ListEntry {
  return { list: INDEX, member: ageOf(createdAt) + id, ttlMs };
}

/** Reads the index from its end; see `TaskStore.newest`. */
export async function readIndex(
  backend: Backend,
  limit: number,
  after?: TaskPlace,
): Promise<readonly TaskPlace[]> {
  const before = after === undefined ? LIST_END : ageOf(after.createdAt) + after.id;
  const members = await backend.listBack(INDEX, before, limit);
  return members.map((member) => ({
    createdAt: Number(member.slice(0, AGE_DIGITS)),
    id: member.slice(AGE_DIGITS),
  }));
}

/**
 * Reads a page for `TaskStore.list`. `read` resolves with a task as it is now, `undefined` when it has gone. Both the members and the
 * text of results that it reads are bounded.
 */
export async function readPage(
  backend: Backend,
  owner: TaskOwner,
  { cursor, limit }: PageRequest,
  read: (id: TaskId) => Promise<TaskView | undefined>,
): Promise<TaskPage | undefined> {
  const list = listOf(owner);
  const after = cursor === undefined ? "" : memberAt(list, cursor);
  if (after === undefined) return undefined;

  const wanted = limit + SPARE_MEMBERS;
  const members = await backend.list(list, after, wanted);
  const tasks: TaskView[] = [];
  let room = MAX_PAGE_CHARACTERS;
  for (const [index, member] of members.entries()) {
    // One at a time: a finished task comes with its result, which may be many megabytes.
    const view = await read(member.slice(AGE_DIGITS));
    if (view === undefined) continue;
    tasks.push(view);
    room -= charactersOf(view);
    const isFull = tasks.length === limit || room <= 0;
    if (isFull && index + 1 < members.length) return { tasks, nextCursor: cursorAt(list, member) };
  }
  const last = members.length === wanted ? members.at(-1) : undefined;
  return last === undefined ? { tasks } : { tasks, nextCursor: cursorAt(list, last) };
}

/** Enough for every date in JavaScript. */
const AGE_DIGITS = 16;
const CURSOR = /^(\d{16}[\w-]{1,128})\.[\w-]{16}$/;
const CHECK_LENGTH = 16;
/** `readPage` reads so many members beyond the page's limit: some outlive their tasks a little. */
const SPARE_MEMBERS = 100;
/** A page ends early once its results and errors have so much text. */
const MAX_PAGE_CHARACTERS = 4_000_000;

function ageOf(createdAt: number): string {
  return String(Math.max(0, Math.floor(createdAt))).padStart(AGE_DIGITS, "0");
}

/** A digest, because the names of callers and routes are arbitrary strings of any length. */
function listOf({ route, caller }: TaskOwner): string {
  return digest(JSON.stringify([route, caller]));
}

function cursorAt(list: string, member: string): string {
  return `${member}.${digest(`${list}:${member}`).slice(0, CHECK_LENGTH)}`;
}

/**
 * The member that a cursor stands for; `undefined` when the cursor is not of this list.
 *
 * The check finds mistakes. It is no secret: a caller that computes one sees only a part of its own list.
 */
function memberAt(list: string, cursor: string): string | undefined {
  const member = CURSOR.exec(cursor)?.[1];
  return member !== undefined && cursorAt(list, member) === cursor ? member : undefined;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

function charactersOf({ outcome }: TaskView): number {
  switch (outcome?.kind) {
    case "completed":
      return outcome.result.length;
    case "failed":
      return toJson(outcome.error).length;
    case "cancelled":
    case "lost":
    case undefined:
      return 0;
  }
}
