import type { Backend } from "../../src/store/backend.ts";
import type { TaskRecord, TaskStore, TaskView } from "../../src/store/task-store.ts";
import type { Mutation } from "./gateway.ts";

/**
 * Faults that somebody could make in the parts that are simulated, each around the real ones: what the simulation is worth is how soon
 * it notices them.
 */
export const MUTATIONS: readonly Mutation[] = [
  {
    name: "a claim on a task is a set",
    backend: (backend) => ({ ...bound(backend), claim: setInstead(backend, "own:") }),
  },
  {
    name: "a task with an idempotency key is created by a set",
    backend: (backend) => ({ ...bound(backend), claim: setInstead(backend, "task:") }),
  },
  {
    name: "whoever creates a task with an idempotency key takes it to be theirs",
    store: (store) =>
      changed(store, {
        createOnce: async (task, id) => {
          const view = await store.createOnce(task, id);
          const { idempotency } = task;
          return view && idempotency ? { ...view, task: { ...view.task, idempotency } } : view;
        },
      }),
  },
  {
    name: "an ending overwrites the one that stands",
    backend: (backend) => ({ ...bound(backend), claim: setInstead(backend, "end:") }),
  },
  {
    name: "an answer overwrites the one that stands",
    backend: (backend) => ({ ...bound(backend), claim: setInstead(backend, "in:") }),
  },
  {
    name: "whoever claims a task takes it to be theirs",
    backend: (backend) => ({
      ...bound(backend),
      claim: async (key, value, ...rest) => {
        const standing = await backend.claim(key, value, ...rest);
        return key.startsWith("own:") ? value : standing;
      },
    }),
  },
  {
    name: "a record is called durable before it is",
    backend: (backend) => ({
      ...bound(backend),
      set: (key, value, ttlMs, entries) => {
        const written = backend.set(key, value, ttlMs, entries);
        if (!key.startsWith("task:")) return written;
        written.catch(() => {});
        return Promise.resolve();
      },
    }),
  },
  {
    name: "a takeover does not ask whether the owner is alive",
    store: (store) => changed(store, { isAlive: async () => false }),
  },
  {
    name: "a call is sent before it is claimed",
    store: (store) =>
      changed(store, {
        takeOver: (task, isUnsent) => {
          const adopting = store.takeOver(task, isUnsent);
          if (task.owner !== store.me || !task.isUnsent) return adopting;
          adopting.catch(() => {});
          return Promise.resolve(inNextTurn(task));
        },
      }),
  },
  {
    name: "a round is sent before it is claimed",
    store: (store) =>
      changed(store, {
        takeOver: (task, isIdle) => {
          const adopting = store.takeOver(task, isIdle);
          if (task.owner !== store.me || task.pause === undefined) return adopting;
          adopting.catch(() => {});
          return Promise.resolve(inNextTurn(task));
        },
      }),
  },
  {
    name: "a call whose server waits for answers is made from its beginning",
    revive:
      (revive) =>
      ({ pause, ...task }, recipe) =>
        revive({ ...task, ...(pause === undefined ? {} : { isUnsent: true }) }, recipe),
  },
  {
    name: "an owner does not check again whether the task is still its own",
    store: (store) => {
      const lost = new Set<string>();
      return changed(store, {
        takeOver: async (task, isUnsent) => {
          const adopted = await store.takeOver(task, isUnsent);
          if (adopted !== undefined || task.owner !== store.me) return adopted;
          lost.add(task.id);
          return inNextTurn(task);
        },
        read: async (id, reader) => {
          const view = await store.read(id, reader);
          return view && lost.has(id) ? { ...view, task: { ...view.task, owner: store.me } } : view;
        },
      });
    },
  },
  {
    name: "who is told of an ending is written after it",
    backend: (backend) => ({
      ...bound(backend),
      claim: async (key, value, ttlMs, entries = [], spent = undefined) => {
        if (!key.startsWith("end:")) return backend.claim(key, value, ttlMs, entries, spent);
        const standing = await backend.claim(key, value, ttlMs, [], spent);
        await backend.claim(key, value, ttlMs, entries);
        return standing;
      },
    }),
  },
  {
    name: "a takeover takes every call to be unsent",
    revive: (revive) => (task, recipe) => revive({ ...task, isUnsent: true }, recipe),
  },
  {
    name: "endings are read from a copy that lags",
    backend: (backend, timeline) => {
      const copies = new Map<string, { readonly value: unknown; readonly at: number }>();
      return {
        ...bound(backend),
        getMany: async (keys) => {
          const values = await backend.getMany(keys);
          return values.map((value, index) => {
            const key = keys[index] ?? "";
            if (!key.startsWith("end:")) return value;
            const copy = copies.get(key);
            if (copy !== undefined && timeline.now - copy.at < 1_000) return copy.value;
            copies.set(key, { value, at: timeline.now });
            return value;
          });
        },
      };
    },
  },
  {
    name: "an ending expires too early",
    backend: (backend) => ({
      ...bound(backend),
      claim: (key, value, ttlMs, ...rest) =>
        backend.claim(key, value, key.startsWith("end:") ? Math.ceil(ttlMs / 30) : ttlMs, ...rest),
    }),
  },
  {
    name: "a record goes before the end stands",
    backend: (backend) => ({
      ...bound(backend),
      claim: async (key, value, ttlMs, entries, spent) => {
        if (spent !== undefined) await backend.claim(`gone:${key}`, {}, ttlMs, [], spent);
        return backend.claim(key, value, ttlMs, entries);
      },
    }),
  },
  {
    name: "nobody looks for what a lost nudge was about",
    backend: (backend) => ({
      ...bound(backend),
      watch: (listener) => backend.watch((nudge) => nudge.kind !== "missed" && listener(nudge)),
    }),
  },
  {
    name: "a record that was not written is taken to be",
    backend: (backend) => ({
      ...bound(backend),
      set: (key, value, ttlMs, entries) => {
        const written = backend.set(key, value, ttlMs, entries);
        return key.startsWith("task:") ? written.catch(() => {}) : written;
      },
    }),
  },
  {
    name: "an ending that was not written is taken to be",
    store: (store) =>
      changed(store, { end: (task, outcome) => store.end(task, outcome).catch(() => outcome) }),
  },
  {
    name: "tasks are in no list of their owner's",
    backend: (backend) => ({
      ...bound(backend),
      set: (key, value, ttlMs, entries = []) =>
        backend.set(key, value, ttlMs, key.startsWith("task:") ? [] : entries),
      claim: (key, value, ttlMs, _entries, spent) => backend.claim(key, value, ttlMs, [], spent),
    }),
  },
  {
    name: "whose task it is is not looked at",
    store: (store) =>
      changed(store, {
        read: async (id, reader) => {
          const view = await store.read(id, reader);
          return view && reader ? withOwner(view, reader) : view;
        },
      }),
  },
];

function bound(backend: Backend): Backend {
  return {
    isShared: backend.isShared,
    getMany: (keys) => backend.getMany(keys),
    set: (key, value, ttlMs, entries) => backend.set(key, value, ttlMs, entries),
    claim: (...given) => backend.claim(...given),
    list: (list, after, limit) => backend.list(list, after, limit),
    listBack: (list, before, limit) => backend.listBack(list, before, limit),
    unlist: (list, member) => backend.unlist(list, member),
    publish: (nudge) => backend.publish(nudge),
    watch: (listener) => backend.watch(listener),
    close: () => backend.close(),
  };
}

function setInstead(backend: Backend, prefix: string): Backend["claim"] {
  return async (key, value, ttlMs, entries, spent) => {
    if (!key.startsWith(prefix)) return backend.claim(key, value, ttlMs, entries, spent);
    await backend.set(key, value, ttlMs, entries);
    return value;
  };
}

/** The same store but for some methods. */
function changed(store: TaskStore, methods: Partial<TaskStore>): TaskStore {
  return new Proxy(store, {
    get: (target, name) => {
      const own = Reflect.get(methods, name) ?? Reflect.get(target, name, target);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}

function inNextTurn({ isUnsent: _isUnsent, pause: _pause, ...task }: TaskRecord): TaskRecord {
  return { ...task, turn: (task.turn ?? 0) + 1 };
}

function withOwner(view: TaskView, owner: { readonly route: string; readonly caller: string }): TaskView {
  return { ...view, task: { ...view.task, ...owner } };
}
