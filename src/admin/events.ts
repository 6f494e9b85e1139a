import { taskName } from "../log/task-name.ts";
import type { TaskStore } from "../store/task-store.ts";
import type { TaskEngine } from "../tasks/engine.ts";
import { isoTime } from "../tasks/state.ts";
import type { Observer, TaskEvent } from "../tasks/task-event.ts";
import { statusOf } from "./task-summary.ts";

export interface AdminEventsOptions {
  readonly nameOf: (caller: string) => string;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** One event as JSON, named by its `kind`. */
export interface AdminEvent {
  readonly kind: string;
  readonly at: string;
  readonly [detail: string]: unknown;
}

export type AdminListener = (event: AdminEvent) => void;

/** Enough for a team and its screens. */
export const MAX_LISTENERS = 100;

/** Passes on what happens to tasks, here and at other gateways on the store, to those that listen. */
export class AdminEvents {
  readonly #options: AdminEventsOptions;
  readonly #listeners = new Set<AdminListener>();
  #stopWatching = () => {};

  constructor(options: AdminEventsOptions) {
    this.#options = options;
  }

  /** Without listeners this costs nothing. */
  readonly observe: Observer = (event) => {
    if (this.#listeners.size === 0) return;
    const details = detailsOf(event, this.#options.nameOf);
    if (details !== undefined) this.#tell({ kind: event.kind, at: this.#now(), ...details });
  };

  /** Also tells of tasks whose calls are in other gateways: only that they have changed. */
  watch(store: Pick<TaskStore, "watch">, engine: Pick<TaskEngine, "callOf">): void {
    this.#stopWatching = store.watch((nudge) => {
      if (nudge.kind === "granted" || nudge.kind === "told" || !("id" in nudge)) return;
      if (this.#listeners.size === 0 || engine.callOf(nudge.id) !== undefined) return;
      this.#tell({ kind: "changed", at: this.#now(), task: { name: taskName(nudge.id) } });
    });
  }

  /** Returns a function that ends it; `undefined`: as many as there may be listen already. */
  listen(listener: AdminListener): (() => void) | undefined {
    if (this.#listeners.size >= MAX_LISTENERS) return undefined;
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): void {
    this.#stopWatching();
    this.#listeners.clear();
  }

  #tell(event: AdminEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  #now(): string {
    return isoTime(this.#options.clock());
  }
}

/** `undefined`: nobody wants to hear of it. */
function detailsOf(event: TaskEvent, nameOf: (caller: string) => string): object | undefined {
  switch (event.kind) {
    case "created":
    case "sent":
    case "detached":
    case "adopted":
    case "left":
      return about(event);
    case "progress": {
      const { progress, total } = event.progress;
      return { ...about(event), progress, ...(total === undefined ? {} : { total }) };
    }
    case "asked":
      return { ...about(event), questions: event.questions };
    case "answered":
      return { ...about(event), answers: event.answers };
    case "cancelled":
      return { ...about(event), by: event.by };
    case "ended":
      return { ...about(event), status: statusOf(event.task, event.outcome) };
    case "refused": {
      const { route, caller, method, status, reason, limit } = event;
      return { server: route, caller: caller && nameOf(caller), method, status, reason, limit };
    }
    case "read":
    case "listed":
      return undefined;
  }
}

function about({ task }: Extract<TaskEvent, { readonly task: object }>) {
  return { task: { name: taskName(task.id), server: task.route, tool: task.tool } };
}
