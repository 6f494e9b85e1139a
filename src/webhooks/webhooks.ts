import type { Logger } from "pino";
import { Agent } from "undici";
import type { Config, WebhookConfig } from "../config/config.ts";
import { compileGlob } from "../glob.ts";
import { taskName } from "../log/task-name.ts";
import type { Delivery, Subscribers } from "../store/outbox.ts";
import { eventId } from "../store/outbox.ts";
import type { TaskStore } from "../store/task-store.ts";
import { isoTime } from "../tasks/state.ts";
import type { Observer } from "../tasks/task-event.ts";
import { Courier, type Manners, type TriedOutcome } from "./courier.ts";
import { bodyOf, type Interest, isWanted } from "./events.ts";
import { type Message, post, type Reply } from "./post.ts";
import { Responsibility } from "./responsible.ts";
import { pauseMs, restMs } from "./schedule.ts";

export interface WebhooksOptions {
  readonly webhooks: readonly WebhookConfig[];
  readonly store: TaskStore;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly nameOf: (caller: string) => string;
  readonly version: string;
  readonly onTried?: ((webhook: string, outcome: TriedOutcome) => void) | undefined;
}

/** How it stands with a webhook. */
export interface WebhookStatus {
  readonly name: string;
  /** Without the query, which may contain a secret. */
  readonly url: string;
  readonly events: readonly string[];
  /** How many events wait to be delivered, of all gateways on the store; counted up to `MAX_COUNTED`. */
  readonly waiting: number;
  /** How many were given up in the last week; counted up to `MAX_COUNTED`. */
  readonly undelivered: number;
  /** How often in a row it has not taken an event of this gateway. */
  readonly failures: number;
  readonly deliveredAt?: string;
  readonly failure?: string;
}

/** An event that was given up. */
export interface Undelivered {
  readonly event: string;
  readonly webhook: string;
  /** The name of the task that it is about. */
  readonly task: string;
  readonly kind: string;
  readonly at: string;
  readonly givenUpAt: string;
  readonly attempts: number;
  readonly failure?: string;
}

const MANNERS: Omit<Manners, "attempts"> = {
  pauseMs,
  restMs,
  isStrict: true,
  maxWaiting: 100_000,
  width: 8,
  pollMs: 5_000,
};
const MAX_COUNTED = 1_000;
/** For each receiver: its deliveries, and tests of it. */
const MAX_AT_ONCE = 16;

/** Tells receivers what happens to tasks (Standard Webhooks). */
export class Webhooks {
  readonly #options: WebhooksOptions;
  readonly #couriers: ReadonlyMap<string, Courier>;
  readonly #agent: Agent;
  readonly #stopped = new AbortController();
  #stopWatching = () => {};

  constructor(options: WebhooksOptions) {
    this.#options = options;
    const { webhooks, store, log, clock, nameOf, onTried } = options;
    // To an origin, at which may be all of them.
    this.#agent = new Agent({ connections: MAX_AT_ONCE * Math.max(1, webhooks.length) });
    const responsibility = new Responsibility(store);
    this.#couriers = new Map(
      webhooks.map((webhook) => {
        const { name, include, attempts } = webhook;
        const interest = interestOf(webhook);
        return [
          name,
          new Courier({
            name,
            manners: { ...MANNERS, attempts },
            store,
            responsibility,
            clock,
            log: log.child({ webhook: name }),
            bodyOf: (view, delivery) => bodyOf(view, delivery, interest, { include, nameOf }),
            send: (message, signal) => this.#post(webhook, message, signal),
            onTried: (outcome) => onTried?.(name, outcome),
          }),
        ];
      }),
    );
  }

  /** Hears that there is something to deliver. */
  readonly observe: Observer = ({ kind }) => {
    if (kind === "created" || kind === "asked" || kind === "progress" || kind === "ended") this.wake();
  };

  /** Delivers from now on, also what earlier gateways have left. */
  begin(): void {
    this.#stopWatching = this.#options.store.watch(({ kind }) => {
      if (kind !== "answered") this.wake();
    });
    this.wake();
  }

  /** Ends when the deliveries under way have, or `enough` has settled. */
  async close(enough: Promise<unknown>): Promise<void> {
    this.#stopWatching();
    await Promise.all([...this.#couriers.values()].map((courier) => courier.stop(enough)));
    this.#stopped.abort();
    await this.#agent.destroy();
  }

  /** @throws StoreUnavailable */
  statuses(): Promise<readonly WebhookStatus[]> {
    const { webhooks, store } = this.#options;
    return Promise.all(
      webhooks.map(async ({ name, url, events }) => {
        const { failures = 0, deliveredAt, failure } = this.#couriers.get(name)?.state ?? {};
        return {
          name,
          url: `${url.origin}${url.pathname}`,
          events,
          waiting: (await store.outbox.waiting(name, MAX_COUNTED)).length,
          undelivered: (await store.outbox.undelivered(name, MAX_COUNTED)).length,
          failures,
          ...(deliveredAt === undefined ? {} : { deliveredAt: isoTime(deliveredAt) }),
          ...(failure === undefined ? {} : { failure }),
        };
      }),
    );
  }

  /** What was given up last, at most `limit`. `undefined`: there is no such webhook. @throws StoreUnavailable */
  async undelivered(name: string, limit: number): Promise<readonly Undelivered[] | undefined> {
    if (!this.#couriers.has(name)) return undefined;
    const { outbox } = this.#options.store;
    const found = await outbox.undelivered(name, limit);
    return Promise.all(
      found.map(async (delivery) => {
        const { kept } = await outbox.keptOf(name, delivery);
        return {
          event: eventId(delivery),
          webhook: name,
          task: taskName(delivery.task),
          kind: delivery.kind,
          at: isoTime(delivery.at),
          givenUpAt: isoTime(delivery.dueAt),
          attempts: delivery.attempts + 1,
          ...(kept?.failure === undefined ? {} : { failure: kept.failure }),
        };
      }),
    );
  }

  /**
   * Delivers again what was given up: one event, or the last `MAX_COUNTED`. Returns how many; `undefined`: there is no such webhook.
   * @throws StoreUnavailable
   */
  async redeliver(name: string, event?: string): Promise<number | undefined> {
    const courier = this.#couriers.get(name);
    if (courier === undefined) return undefined;
    const { store, clock } = this.#options;
    const found = await store.outbox.undelivered(name, MAX_COUNTED);
    const wanted = found.filter((delivery) => event === undefined || eventId(delivery) === event);
    // The oldest first, so that those of one task come in order.
    for (const delivery of wanted.toReversed()) await store.outbox.takeUp(name, delivery, clock());
    courier.wake();
    return wanted.length;
  }

  /** Tells a receiver of nothing, to see whether it takes events. `undefined`: there is no such webhook. */
  async test(name: string): Promise<Reply | undefined> {
    const webhook = this.#options.webhooks.find((each) => each.name === name);
    if (webhook === undefined) return undefined;
    const timestamp = isoTime(this.#options.clock());
    const body = JSON.stringify({ type: "webhook.test", timestamp, data: { webhook: name } });
    const test: Pick<Delivery, "task" | "kind" | "mark"> = { task: name, kind: "progress", mark: timestamp };
    return this.#post(webhook, { id: eventId(test), body }, this.#stopped.signal);
  }

  #post({ url, secrets, timeoutMs }: WebhookConfig, message: Message, signal: AbortSignal): Promise<Reply> {
    const userAgent = `mcp-taskgate/${this.#options.version}`;
    return post(message, { url, secrets, timeoutMs, dispatcher: this.#agent, userAgent, signal });
  }

  /** Looks soon whether there is something to deliver. */
  wake(): void {
    for (const courier of this.#couriers.values()) courier.wake();
  }
}

/** Who is to be told of what happens to tasks. `undefined`: nobody of anything. */
export function subscribersOf(webhooks: Config["webhooks"]): Subscribers | undefined {
  if (webhooks.length === 0) return undefined;
  const interests = webhooks.map((webhook) => ({ name: webhook.name, interest: interestOf(webhook) }));
  return (task, news) =>
    interests.filter(({ interest }) => isWanted(interest, task, news)).map(({ name }) => name);
}

function interestOf({ events, servers, tools }: WebhookConfig): Interest {
  return {
    events: new Set(events),
    ...(servers.length === 0 ? {} : { servers: new Set(servers) }),
    ...(tools.length === 0 ? {} : { tools: tools.map(compileGlob) }),
  };
}
