import type { Config } from "../config/config.ts";
import type { CallCounts } from "../observers/calls/call-counts.ts";
import { STEP_MS, type StepSample } from "../observers/calls/recent-calls.ts";
import { MODERN_VERSION } from "../protocol/modern.ts";
import type { Route } from "../requests/request.ts";
import type { ReplicaInfo, TaskStore } from "../store/task-store.ts";
import type { TaskEngine } from "../tasks/engine.ts";
import { isoTime } from "../tasks/state.ts";
import type { ClientSubscriptions } from "../webhooks/subscriptions/client-subscriptions.ts";
import type { Webhooks } from "../webhooks/webhooks.ts";
import type { AdminEvents } from "./events.ts";
import type { Refusals, RefusedCaller } from "./refusals.ts";
import type { Reloads } from "./reloads.ts";
import { type ServerStatus, serverStatus, shownConfig } from "./status.ts";
import { type Suggestions, suggestionsOf } from "./suggestions.ts";
import { AdminTasks } from "./tasks.ts";

export interface AdminOptions {
  /** The one in force. */
  readonly config: () => Config;
  readonly store: TaskStore;
  readonly engine: TaskEngine;
  readonly routes: () => readonly Route[];
  readonly reloads: Reloads;
  readonly events: AdminEvents;
  readonly callCounts: CallCounts;
  readonly refusals: Refusals;
  readonly webhooks: Webhooks;
  /** Absent: clients have no subscriptions. */
  readonly clientEvents: ClientSubscriptions | undefined;
  readonly nameOf: (caller: string) => string;
  /** As `admin.payloads`. */
  readonly withPayloads: boolean;
}

/** `samples`: by steps of `stepMs`, the oldest first; the last has only begun. */
export interface Stats {
  readonly replica: string;
  readonly until: string;
  readonly stepMs: number;
  readonly samples: readonly StepSample[];
}

export interface SubscriptionCounts {
  readonly total: number;
  /** How many of them this gateway delivers to. */
  readonly here: number;
}

/** What an operator sees of a gateway and can do with it, by whichever means. */
export class Admin {
  readonly tasks: AdminTasks;
  readonly events: AdminEvents;
  readonly webhooks: Webhooks;
  readonly #options: AdminOptions;

  constructor(options: AdminOptions) {
    const { store, engine, events, webhooks, nameOf, withPayloads } = options;
    this.#options = options;
    this.events = events;
    this.webhooks = webhooks;
    this.tasks = new AdminTasks({ store, engine, nameOf, withPayloads });
    events.watch(store, engine);
  }

  servers(): readonly ServerStatus[] {
    const { routes, engine, callCounts } = this.#options;
    const activity = {
      states: () => engine.states(),
      calls: callCounts,
      lastHour: callCounts.count(1),
      now: engine.now(),
    };
    return routes().map((route) => serverStatus(route, activity, MODERN_VERSION));
  }

  /** @throws StoreUnavailable */
  replicas(): Promise<readonly ReplicaInfo[]> {
    return this.#options.store.replicas();
  }

  /** Of clients, to what happens to their tasks. `undefined`: they have none. @throws StoreUnavailable */
  async subscriptions(): Promise<SubscriptionCounts | undefined> {
    const { clientEvents } = this.#options;
    return clientEvents && { total: await clientEvents.count(), here: clientEvents.size };
  }

  /** @param hours of the calls that are looked at, counted back from now; absent: all since the start */
  suggestions(hours?: number): Suggestions {
    const { routes, engine, store, callCounts } = this.#options;
    return suggestionsOf({
      routes: routes(),
      count: callCounts.count(hours),
      now: engine.now(),
      replica: store.me,
    });
  }

  /** What became of the calls of the last minutes at this gateway. */
  stats(): Stats {
    const { engine, store, callCounts } = this.#options;
    const samples = callCounts.recent();
    return { replica: store.me, until: isoTime(engine.now()), stepMs: STEP_MS, samples };
  }

  /** Who was refused in the last hour at this gateway. */
  refusals(): readonly RefusedCaller[] {
    return this.#options.refusals.recent();
  }

  config(): object {
    const { config, reloads } = this.#options;
    return { ...shownConfig(config()), ...reloads.shown() };
  }
}
