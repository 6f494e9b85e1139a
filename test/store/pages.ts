import type { TaskOwner, TaskStore, TaskView } from "../../src/store/task-store.ts";

/** All pages of an owner's list, one after the other. `between` is called after every page that is not the last. */
export async function pagesOf(
  store: TaskStore,
  owner: TaskOwner,
  limit: number,
  between: () => Promise<void> = async () => {},
): Promise<(readonly TaskView[])[]> {
  const pages: (readonly TaskView[])[] = [];
  for (let cursor: string | undefined; pages.length < 1_000; ) {
    const page = await store.list(owner, { cursor, limit });
    if (page === undefined) throw new Error(`a cursor that was given is not taken: ${cursor}`);
    pages.push(page.tasks);
    if (page.nextCursor === undefined) return pages;
    cursor = page.nextCursor;
    await between();
  }
  throw new Error("the list has no end");
}

/** The ids of an owner's tasks, as the list has them. */
export async function listedIds(store: TaskStore, owner: TaskOwner, limit = 100): Promise<string[]> {
  return (await pagesOf(store, owner, limit)).flat().map(({ task }) => task.id);
}

/** The cursor that the first page of a list ends with. */
export async function firstCursor(store: TaskStore, owner: TaskOwner, limit = 1): Promise<string> {
  const page = await store.list(owner, { limit });
  if (page?.nextCursor === undefined) throw new Error("the first page is the last");
  return page.nextCursor;
}
