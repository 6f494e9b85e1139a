import { createHash } from "node:crypto";
import { toJson } from "../protocol/jsonrpc.ts";
import type { Backend, ListEntry } from "./backend.ts";
import type { PageRequest, TaskId, TaskOwner, TaskPage, TaskRecord, TaskView } from "./task-store.ts";

/**
 * The place of a listed task in the list of its owner's: by age, and by id among those of one millisecond. It never changes.
 * `undefined` for a task that is not listed.
 */
export function listEntry(task: TaskRecord, ttlMs: number): ListEntry | undefined {
  if (!task.isListed) return undefined;
  const age = String(Math.max(0, Math.floor(task.createdAt))).padStart(AGE_DIGITS, "0");
  return { list: listOf(task), member: age + task.id, ttlMs };
}

/**
 * A page of an owner's list: `TaskStore.list`. `read` gives a task as it is now, `undefined` when it has gone.
 * The members that it looks at, and the text of the results that it reads, are bounded.
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
    // One at a time: a finished task comes with its result, and that may be many megabytes.
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

/** Enough for every date that JavaScript knows. */
const AGE_DIGITS = 16;
const CURSOR = /^(\d{16}[\w-]{1,128})\.[\w-]{16}$/;
const CHECK_LENGTH = 16;
/** A page looks at so many members more than it may hold tasks: some stay a little longer than their tasks. */
const SPARE_MEMBERS = 100;
/** A page ends early once it has so much text of results and errors. */
const MAX_PAGE_CHARACTERS = 4_000_000;

/** A digest: callers and routes are named by arbitrary strings of any length. */
function listOf({ route, caller }: TaskOwner): string {
  return digest(JSON.stringify([route, caller]));
}

function cursorAt(list: string, member: string): string {
  return `${member}.${digest(`${list}:${member}`).slice(0, CHECK_LENGTH)}`;
}

/**
 * The member that a cursor stands for; `undefined` when it was not made for this list.
 *
 * The check tells mistakes from cursors. It is no secret: who computes one himself sees a part of his own list.
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
