import { onAbort } from "../lib/signal.ts";
import { rpc } from "../protocol/errors.ts";
import { isObject, type JsonObject, type JsonText, toJson } from "../protocol/jsonrpc.ts";
import { declaresTasks, META, tasksNeeded } from "../protocol/modern.ts";
import type { Admission } from "../requests/admission.ts";
import { MAX_SUBJECTS } from "../requests/classify.ts";
import { type Exchange, type Handle, needsOwner, type Services, serverMeta } from "../requests/request.ts";
import type { TaskView } from "../store/task-store.ts";
import type { TaskEngine } from "../tasks/engine.ts";
import { rejectAsRpcError } from "./bridge.ts";
import { followModern, type ServerChanges, type Tell, untilBegun } from "./changes.ts";
import { modernDetailedTask } from "./task-view.ts";

/**
 * How long a task that was there may be missing before its stream ends: longer than a gateway takes to notice that the store has lost the
 * gateway's running tasks, which is a third of `store.lease`.
 */
const GONE_AFTER_MS = 10_000;
const LOOK_AGAIN_MS = 1_000;
const LISTS = {
  toolsListChanged: "tools",
  promptsListChanged: "prompts",
  resourcesListChanged: "resources",
} as const;

/**
 * `subscriptions/listen`: acknowledges the part of the filter that it honours, then reports every change until the client, the server or
 * the gateway ends the subscription (2026-07-28, Subscriptions; Tasks §Task Status Notifications).
 */
export function listener(services: Services, admission: Admission): Handle {
  const { engine, quotas, stopping } = services;
  return async (exchange) => {
    const { reply, id, envelope, params, route } = exchange;
    const filter = readFilter(params);
    if (filter.taskIds !== undefined && !declaresTasks(envelope.capabilities)) {
      throw tasksNeeded();
    }
    const giveBack = quotas.take("streams", exchange.quotaKey);
    const ended = new AbortController();
    const end = () => ended.abort();
    // When the server leaves, its client listens again, to the one that has taken its place.
    const stopListening = onAbort([reply.gone, stopping, route.leaving], end);
    let stopHearing = () => {};
    try {
      const subscriptionId = { [META.subscriptionId]: id };
      const changes =
        exchange.server === undefined
          ? await followServer(exchange, filter, ended.signal)
          : await followModern(exchange, exchange.server, ended, engine);
      const tasks = await followTasks(exchange, filter.taskIds, ended.signal, { engine, admission });
      const { taskIds: served, ...others } = changes.honoured;
      const taskIds = [...(Array.isArray(served) ? served : []), ...tasks.found];
      const honoured = { ...others, ...(filter.taskIds === undefined ? {} : { taskIds }) };
      reply.open();
      reply.keepAlive();
      notify(exchange, "notifications/subscriptions/acknowledged", {
        notifications: honoured,
        _meta: subscriptionId,
      });
      const tell: Tell = (method, what) =>
        notify(exchange, method, { ...what, _meta: { ...metaOf(what), ...subscriptionId } });
      changes.begin(tell);
      if (changes.honoured.toolsListChanged === true)
        stopHearing = route.onRules(() => tell("notifications/tools/list_changed", {}));
      await tasks.tell((view) => reply.notify(taskNotification(view, engine.now(), subscriptionId)));
      reply.result(toJson({ resultType: "complete", _meta: { ...serverMeta(route), ...subscriptionId } }));
    } finally {
      end();
      giveBack();
      stopListening();
      stopHearing();
    }
  };
}

interface Filter {
  readonly toolsListChanged: boolean;
  readonly promptsListChanged: boolean;
  readonly resourcesListChanged: boolean;
  readonly resourceSubscriptions: readonly string[] | undefined;
  readonly taskIds: readonly string[] | undefined;
}

function readFilter({ notifications }: JsonObject): Filter {
  if (!isObject(notifications)) throw rpc.invalidParams("notifications must be an object");
  return {
    toolsListChanged: flag(notifications, "toolsListChanged"),
    promptsListChanged: flag(notifications, "promptsListChanged"),
    resourcesListChanged: flag(notifications, "resourcesListChanged"),
    resourceSubscriptions: strings(notifications, "resourceSubscriptions"),
    taskIds: strings(notifications, "taskIds"),
  };
}

function flag(object: JsonObject, name: string): boolean {
  const value = object[name];
  if (value !== undefined && typeof value !== "boolean")
    throw rpc.invalidParams(`notifications.${name} must be a boolean`);
  return value ?? false;
}

function strings(object: JsonObject, name: string): readonly string[] | undefined {
  const value = object[name];
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
    throw rpc.invalidParams(`notifications.${name} must be an array of strings`);
  }
  if (value.length > MAX_SUBJECTS)
    throw rpc.invalidParams(`notifications.${name} may name ${MAX_SUBJECTS} at most`);
  return [...new Set<string>(value)];
}

/** Follows the changes that the legacy server announces on the caller's control session. */
async function followServer(exchange: Exchange, filter: Filter, ended: AbortSignal): Promise<ServerChanges> {
  const wanted = Object.entries(LISTS).filter(([field]) => filter[field as keyof typeof LISTS]);
  const wantsResources =
    filter.resourceSubscriptions !== undefined && filter.resourceSubscriptions.length > 0;
  if (wanted.length === 0 && !wantsResources) return { honoured: {}, begin: () => {} };
  const control = exchange.route.upstream.control(exchange.sessionOwner);
  const { capabilities } = await control.describe().catch(rejectAsRpcError);
  const lists = wanted.filter(([, list]) => can(capabilities[list], "listChanged"));
  const methods = new Set(lists.map(([, list]) => `notifications/${list}/list_changed`));
  const uris = new Set<string>();

  const { tell, begin } = untilBegun();
  const stopListening = control.listen(({ method, params = {} }) => {
    const isWanted = method === "notifications/resources/updated" && isOneOf(params.uri, uris);
    if (methods.has(method) || isWanted) tell(method, params);
  });
  onAbort(ended, () => {
    stopListening();
    for (const uri of uris) void control.unsubscribe(uri);
  });
  if (can(capabilities.resources, "subscribe")) {
    for (const uri of filter.resourceSubscriptions ?? []) {
      if (ended.aborted) break;
      const response = await control.subscribe(uri).catch(rejectAsRpcError);
      if (!("error" in response)) uris.add(uri);
      if (ended.aborted) void control.unsubscribe(uri);
    }
  }
  const flags = Object.fromEntries(lists.map(([field]) => [field, true]));
  return {
    honoured: { ...flags, ...(uris.size === 0 ? {} : { resourceSubscriptions: [...uris] }) },
    begin,
  };
}

interface TaskChanges {
  /** The tasks that exist and are the caller's; the others are left out silently. */
  readonly found: readonly string[];
  /** Reports the state of each task, and again after each change; resolves when the subscription has ended. */
  tell(to: (view: TaskView) => void): Promise<void>;
}

async function followTasks(
  exchange: Exchange,
  taskIds: readonly string[] | undefined,
  ended: AbortSignal,
  { engine, admission }: { readonly engine: TaskEngine; readonly admission: Admission },
): Promise<TaskChanges> {
  const { reply } = exchange;
  const { owner } = exchange;
  needsOwner(exchange);
  const dirty = new Set<string>();
  /** The state last reported of each task, which may be read again without having changed. */
  const told = new Map<string, string>();
  /** Since when each task that was there has been missing. */
  const missing = new Map<string, number>();
  let late: NodeJS.Timeout | undefined;
  let wake = () => {};
  const stays = () => ({ caller: owner.caller, gone: ended, bytes: 0, isEndless: true });
  const watch = (id: string) =>
    engine.watch(id, () => {
      dirty.add(id);
      wake();
    });
  // Watch before reading: a change in between is then reported twice rather than not at all.
  const watched = new Map((taskIds ?? []).map((id) => [id, watch(id)]));
  const stop = (id: string) => {
    watched.get(id)?.();
    watched.delete(id);
    dirty.delete(id);
    told.delete(id);
    missing.delete(id);
  };
  /** Gives up a missing task only after a while, in which gateways can write their running tasks to a store that was emptied. */
  const checkMissing = () => {
    clearTimeout(late);
    const now = performance.now();
    const gone = [...missing].filter(([, since]) => now - since >= GONE_AFTER_MS).map(([id]) => id);
    if (gone.length > 0) throw rpc.tasksGone(gone);
    if (missing.size === 0) return;
    late = setTimeout(() => {
      for (const id of missing.keys()) dirty.add(id);
      wake();
    }, LOOK_AGAIN_MS);
  };
  onAbort(ended, () => {
    for (const id of [...watched.keys()]) stop(id);
    clearTimeout(late);
    wake();
  });
  const there = await admission.lookedUp(exchange, taskIds ?? []);
  for (const id of taskIds ?? []) {
    if (there.has(id)) dirty.add(id);
    else stop(id);
  }
  return {
    found: [...there],
    tell: async (to) => {
      while (!ended.aborted) {
        for (const id of [...dirty]) {
          dirty.delete(id);
          const view = await engine.find(id, owner, stays).catch(unlessOver(ended));
          if (ended.aborted) return;
          if (view !== undefined) missing.delete(id);
          else if (!missing.has(id)) missing.set(id, performance.now());
          const state = view && stateOf(view);
          if (view !== undefined && state !== undefined && state !== told.get(id)) {
            told.set(id, state);
            engine.report({ kind: "read", task: view.task, method: "subscriptions/listen" });
            to(view);
          }
          if (view?.outcome !== undefined) stop(id);
          await reply.drained();
        }
        if (dirty.size > 0 || ended.aborted) continue;
        checkMissing();
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

/** Ignores errors once the subscription has ended. */
function unlessOver(ended: AbortSignal): (error: unknown) => undefined {
  return (error) => {
    if (!ended.aborted) throw error;
    return undefined;
  };
}

/** Equal for two views if and only if the second has nothing new to report. */
function stateOf({ task, outcome }: TaskView): string {
  return toJson([task.updatedAt, task.statusMessage, task.inputRequests, outcome?.kind]);
}

function taskNotification(view: TaskView, now: number, meta: JsonObject): JsonText {
  const params = modernDetailedTask(view, now, { _meta: meta });
  return `{"jsonrpc":"2.0","method":"notifications/tasks","params":${params}}` as JsonText;
}

function notify({ reply }: Exchange, method: string, params: JsonObject): void {
  reply.notify({ jsonrpc: "2.0", method, params });
}

function metaOf({ _meta }: JsonObject): JsonObject {
  return isObject(_meta) ? _meta : {};
}

function can(capability: unknown, what: string): boolean {
  return isObject(capability) && capability[what] === true;
}

function isOneOf(value: unknown, set: ReadonlySet<string>): boolean {
  return typeof value === "string" && set.has(value);
}
