import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import canonicalize from "canonicalize";
import type { Logger } from "pino";
import type { Dispatcher } from "undici";
import type { EventsConfig } from "../../config/config.ts";
import { throttled } from "../../log/throttled.ts";
import { type EventsErrors, eventsErrors } from "../../protocol/events.ts";
import type { JsonObject } from "../../protocol/jsonrpc.ts";
import type { News } from "../../store/outbox.ts";
import {
  type DeliveryHealth,
  type Found,
  outboxOf,
  type SigningSecret,
  type Subscription,
} from "../../store/subscriptions.ts";
import type { TaskOwner, TaskStore, TaskView } from "../../store/task-store.ts";
import { isoTime } from "../../tasks/state.ts";
import { Courier, type CourierState, type Manners, type TriedOutcome } from "../courier.ts";
import { type Failure, type Message, type PostOptions, post, type Reply } from "../post.ts";
import { Responsibility } from "../responsible.ts";
import { EVENT_AGE_MS, EVENT_ATTEMPTS, eventPauseMs, eventRestMs } from "../schedule.ts";
import { ChallengeLimits, challenge } from "./challenge.ts";
import { type EventFilter, eventOf, TASK_UPDATED } from "./event.ts";
import { bareHost, guardedAgent, type Resolve } from "./guarded-agent.ts";
import { readKey, readSubscribe, type SubscribeRequest, type SubscriptionKey } from "./request.ts";

export interface ClientSubscriptionsOptions {
  readonly config: EventsConfig;
  readonly store: TaskStore;
  /** The same for all gateways on the store. */
  readonly secret: Buffer;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly version: string;
  readonly onTried?: ((outcome: TriedOutcome) => void) | undefined;
  /** Finds the addresses of receivers. Absent: the system does. */
  readonly resolve?: Resolve | undefined;
}

/** A subscription that is granted, as `events/subscribe` answers. */
export interface Granted extends JsonObject {
  readonly id: string;
  /** By when the client has to ask again. */
  readonly refreshBefore: string;
  readonly cursor: null;
  readonly truncated: boolean;
  /** How it stood before. Absent: the subscription is a new one, or nothing was delivered yet. */
  readonly deliveryStatus?: JsonObject;
}

const MANNERS: Manners = {
  attempts: EVENT_ATTEMPTS,
  pauseMs: eventPauseMs,
  restMs: eventRestMs,
  maxAgeMs: EVENT_AGE_MS,
  isStrict: false,
  maxWaiting: 1_000,
  width: 2,
  pollMs: 30_000,
};
/** A client that asks for less is told for longer: each subscription is a write or two. */
const MIN_TTL_MS = 600_000;
/** How long a receiver that has agreed need not be asked again. */
const VERIFIED_MS = 86_400_000;
/** How long the former secret signs as well: longer than an event is tried. */
const ROTATION_MS = 1_200_000;
const MAX_SECRETS = 3;
/** Nudges may be lost, and gateways come and go. */
const SWEEP_MS = 15_000;
const PAGE = 200;
/** How often the store hears that nothing has changed about a receiver. */
const HEALTH_EVERY_MS = 60_000;

/**
 * Tells clients, at urls that they give, what happens to their tasks (MCP Events, webhook mode). For each subscription one of the gateways
 * delivers; the others take over when it has gone.
 */
export class ClientSubscriptions {
  readonly errors: EventsErrors;
  readonly #options: ClientSubscriptionsOptions;
  readonly #allowedHosts: ReadonlySet<string>;
  readonly #agent: Dispatcher;
  readonly #limits: ChallengeLimits;
  readonly #responsibility: Responsibility;
  readonly #couriers = new Map<string, Courier>();
  readonly #health = new Map<string, { readonly said: string; readonly at: number }>();
  readonly #stopped = new AbortController();
  /** Subscriptions to look at, and those of them that a client has just asked for. */
  readonly #toLookAt = new Set<string>();
  readonly #granted = new Set<string>();
  #looking: Promise<void> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #stopWatching = () => {};

  constructor(options: ClientSubscriptionsOptions) {
    const { config, store, resolve } = options;
    this.#options = options;
    this.errors = eventsErrors(config.errorNumbers);
    this.#allowedHosts = new Set(config.allowedHosts.map(bareHost));
    this.#agent = guardedAgent(this.#allowedHosts, resolve);
    this.#limits = new ChallengeLimits(this.errors);
    this.#responsibility = new Responsibility(store);
  }

  /** How many subscriptions this gateway delivers to. */
  get size(): number {
    return this.#couriers.size;
  }

  /** Delivers from now on, also what earlier gateways have left. */
  begin(): void {
    this.#stopWatching = this.#options.store.watch((nudge) => {
      switch (nudge.kind) {
        case "told":
          return this.#tellSoon(nudge.id);
        case "granted":
          this.#granted.add(nudge.id);
          return this.#lookAt([nudge.id]);
        case "missed":
          for (const courier of this.#couriers.values()) courier.wake();
          return;
        case "left":
          return this.#sweepIn(0);
        case "answered":
        case "changed":
        case "ended":
          return;
      }
    });
    this.#sweepIn(0);
  }

  /** Ends when the deliveries under way have, or `enough` has settled. */
  async close(enough: Promise<unknown>): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#stopWatching();
    this.#stopped.abort();
    await this.#looking;
    await Promise.all([...this.#couriers.values()].map((courier) => courier.stop(enough)));
    this.#couriers.clear();
    await this.#agent.destroy();
  }

  /**
   * Answers `events/subscribe`: from when this resolves, the receiver is told.
   * @param params as the client sent them
   * @param taskOf a task of the owner
   * @throws RpcError, StoreUnavailable
   */
  async subscribe(
    owner: TaskOwner,
    params: JsonObject,
    taskOf: (id: string) => Promise<TaskView | undefined>,
  ): Promise<Granted> {
    const { store } = this.#options;
    const request = readSubscribe(params, this.#reading);
    const { taskId } = request.filter;
    const task = taskId === undefined ? undefined : await taskOf(taskId);
    if (taskId !== undefined && task === undefined) throw this.errors.notFound("task");
    const id = this.#idOf(owner, request);
    const before = await store.subscriptions.ofOwner(owner);
    await this.#checkRoom(before, id);
    if (!before.some((each) => each.id === id)) this.#limits.takeNew(keyOf(owner));
    const verifiedAt = this.#verifiedAt(before, request) ?? (await this.#verify(id, owner, request));
    // One after the other, so that no two take the last place.
    return this.#inTurn(async () => {
      const mine = await store.subscriptions.ofOwner(owner);
      await this.#checkRoom(mine, id);
      await store.subscriptions.tidy(owner);
      const earlier = mine.find((each) => each.id === id);
      const granted = this.#grant({ id, owner, request, verifiedAt, earlier });
      await store.subscriptions.put(granted);
      if (earlier === undefined && task !== undefined) await this.#catchUp(id, task);
      const health = earlier && (await store.subscriptions.health(id));
      return {
        id,
        refreshBefore: isoTime(granted.expiresAt),
        cursor: null,
        truncated: request.wantsReplay,
        ...(health === undefined ? {} : { deliveryStatus: statusOf(health) }),
      };
    });
  }

  /** Answers `events/unsubscribe`; doing it again does no harm for a while. @throws RpcError, StoreUnavailable */
  async unsubscribe(owner: TaskOwner, params: JsonObject): Promise<void> {
    const { subscriptions } = this.#options.store;
    const id = this.#idOf(owner, readKey(params, this.#reading));
    const found = await subscriptions.find(id);
    if (found === undefined) throw this.errors.notFound("subscription");
    if (found.is === "subscription") await subscriptions.end({ id, owner });
    await this.#empty(id);
  }

  /** How many there are, of all gateways. @throws StoreUnavailable */
  async count(): Promise<number> {
    let count = 0;
    for await (const found of this.#all()) count += found.is === "subscription" ? 1 : 0;
    return count;
  }

  get #reading() {
    return { errors: this.errors, allowedHosts: this.#allowedHosts };
  }

  /** The same for the same owner, url, event and arguments, at every gateway; it tells nobody who or what they are. */
  #idOf({ route, caller }: TaskOwner, { url, filter }: SubscriptionKey): string {
    const key = canonicalize([route, caller, url.href, TASK_UPDATED, filter]) ?? "";
    const digest = createHmac("sha256", this.#options.secret).update(`subscription\n${key}`);
    return `sub_${digest.digest("base64url").slice(0, 27)}`;
  }

  /** @throws RpcError when a new one would be one too many */
  async #checkRoom(mine: readonly Subscription[], id: string): Promise<void> {
    const { maxPerCaller, maxSubscriptions } = this.#options.config;
    if (mine.some((each) => each.id === id)) return;
    if (mine.length >= maxPerCaller) throw this.errors.exhausted("events.maxPerCaller", maxPerCaller);
    if ((await this.count()) >= maxSubscriptions)
      throw this.errors.exhausted("events.maxSubscriptions", maxSubscriptions);
  }

  /** When the receiver last agreed to be told by this caller, if that is not too long ago. */
  #verifiedAt(mine: readonly Subscription[], { url }: SubscribeRequest): number | undefined {
    const at = Math.max(...mine.filter((each) => each.url === url.href).map(({ verifiedAt }) => verifiedAt));
    return this.#options.clock() - at < VERIFIED_MS ? at : undefined;
  }

  /** @throws RpcError when the receiver does not agree to be told */
  async #verify(id: string, owner: TaskOwner, { url, secret }: SubscribeRequest): Promise<number> {
    const signal = this.#stopped.signal;
    const options = this.#posting({ id, url: url.href, secrets: [{ secret }] }, signal);
    const fault = await this.#limits.within(url.host, keyOf(owner), () => challenge(options));
    if (fault !== undefined) throw this.errors.callback(fault);
    return this.#options.clock();
  }

  #grant({ id, owner, request, verifiedAt, earlier }: Granting): Subscription {
    const now = this.#options.clock();
    const { maxTtlMs } = this.#options.config;
    const ttlMs = Math.min(Math.max(request.ttlMs ?? maxTtlMs, MIN_TTL_MS), maxTtlMs);
    const { secret } = request;
    const others = (earlier?.secrets ?? [])
      .filter((each) => each.secret !== secret && (each.until ?? Number.POSITIVE_INFINITY) > now)
      .map((each): SigningSecret => ({ until: now + ROTATION_MS, ...each }));
    return {
      id,
      owner,
      url: request.url.href,
      name: TASK_UPDATED,
      arguments: { ...request.filter },
      secrets: [{ secret }, ...others].slice(0, MAX_SECRETS),
      verifiedAt,
      expiresAt: Math.ceil(now + ttlMs),
    };
  }

  /** Of a task that its client names it is told how it stands, should that have been so before it asked. */
  async #catchUp(id: string, { task, outcome }: TaskView): Promise<void> {
    const keys = Object.keys(task.inputRequests);
    const asked: readonly News[] = keys.length === 0 ? [] : [{ kind: "asked", keys }];
    const news: readonly News[] = outcome === undefined ? asked : [{ kind: "ended", outcome }];
    if (news.length === 0) return;
    await this.#options.store.subscriptions.catchUp(id, task, outcome?.endedAt ?? task.updatedAt, news);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work, work);
    this.#turn = done.catch(() => {});
    return done;
  }

  #tellSoon(id: string): void {
    const courier = this.#couriers.get(id);
    if (courier !== undefined) courier.wake();
    else if (this.#responsibility.isMine(id)) this.#lookAt([id]);
  }

  #sweepIn(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => void this.#sweep(), ms);
    this.#timer.unref();
  }

  /** Looks at all subscriptions, and at those that are not in the list any more. */
  async #sweep(): Promise<void> {
    const { store } = this.#options;
    try {
      this.#lookAt([...this.#couriers.keys()]);
      for (let after: string | undefined = ""; after !== undefined && !this.#isClosed; ) {
        const ids: readonly string[] = await store.subscriptions.all(PAGE, after);
        this.#lookAt(ids);
        await this.#looking;
        after = ids.length < PAGE ? undefined : ids.at(-1);
      }
    } catch (err) {
      this.#warn({ err }, "could not read which subscriptions there are; trying again");
    }
    this.#sweepIn(SWEEP_MS);
  }

  async *#all(): AsyncGenerator<Found> {
    const { subscriptions } = this.#options.store;
    for (let after: string | undefined = ""; after !== undefined; ) {
      const ids: readonly string[] = await subscriptions.all(PAGE, after);
      for (const found of await subscriptions.findAll(ids)) if (found !== undefined) yield found;
      after = ids.length < PAGE ? undefined : ids.at(-1);
    }
  }

  #lookAt(ids: readonly string[]): void {
    if (this.#isClosed) return;
    for (const id of ids) this.#toLookAt.add(id);
    this.#looking ??= this.#lookAtAll()
      .catch((err: unknown) => {
        // The next sweep looks at them.
        this.#toLookAt.clear();
        this.#warn({ err }, "could not read subscriptions; trying again");
      })
      .finally(() => {
        this.#looking = undefined;
        if (this.#toLookAt.size > 0) this.#lookAt([]);
      });
  }

  /** @throws StoreUnavailable */
  async #lookAtAll(): Promise<void> {
    const { subscriptions } = this.#options.store;
    while (this.#toLookAt.size > 0 && !this.#isClosed) {
      const ids = [...this.#toLookAt].slice(0, PAGE);
      for (const id of ids) this.#toLookAt.delete(id);
      await this.#responsibility.refresh();
      const found = await subscriptions.findAll(ids);
      for (const [at, id] of ids.entries()) await this.#settle(id, found[at]);
    }
  }

  /** Delivers to those that this gateway is responsible for, and to no others. @throws StoreUnavailable */
  async #settle(id: string, found: Found | undefined): Promise<void> {
    const isNew = this.#granted.delete(id);
    const isMine = this.#responsibility.isMine(id);
    if (found?.is === "subscription" && isMine && !this.#isClosed) {
      const courier = this.#couriers.get(id) ?? this.#newCourier(found.subscription);
      this.#couriers.set(id, courier);
      if (isNew) courier.trust();
      else courier.wake();
      return;
    }
    const courier = this.#couriers.get(id);
    this.#couriers.delete(id);
    this.#health.delete(id);
    const isOver = found?.is !== "subscription";
    if (courier !== undefined) {
      const stopped = courier.stop(isOver ? Promise.resolve() : sleep(this.#options.config.timeoutMs));
      if (isOver) await stopped;
    }
    if (isOver && isMine) await this.#empty(id);
  }

  /** Drops what waits for a subscription that is over. @throws StoreUnavailable */
  async #empty(id: string): Promise<void> {
    const { outbox } = this.#options.store;
    const name = outboxOf(id);
    for (;;) {
      const page = await outbox.waiting(name, PAGE);
      for (const delivery of page) {
        if (delivery.attempts > 0) await outbox.drop(name, delivery);
        await outbox.done(name, delivery);
      }
      if (page.length < PAGE) return;
    }
  }

  #newCourier({ id, arguments: filter }: Subscription): Courier {
    const { store, clock, log, onTried } = this.#options;
    return new Courier({
      name: outboxOf(id),
      manners: MANNERS,
      store,
      responsibility: ALWAYS,
      clock,
      log: log.child({ subscription: id }),
      bodyOf: (view, delivery) => eventOf(view, delivery, filter as EventFilter),
      send: (message, signal) => this.#send(id, message, signal),
      onTried: (outcome) => onTried?.(outcome),
      onState: (state, failure) => this.#noteHealth(id, state, failure),
    });
  }

  /** Looks up where to, and with which secrets, each time: its client may have asked another gateway for something else. @throws StoreUnavailable */
  async #send(id: string, message: Message, signal: AbortSignal): Promise<Reply | undefined> {
    const found = await this.#options.store.subscriptions.find(id);
    if (found?.is !== "subscription") return undefined;
    return post(message, this.#posting(found.subscription, signal));
  }

  #posting(
    { id, url, secrets }: Pick<Subscription, "id" | "url" | "secrets">,
    signal: AbortSignal,
  ): PostOptions {
    const { config, version, clock } = this.#options;
    return {
      url: new URL(url),
      secrets: secrets
        .filter(({ until }) => until === undefined || until > clock())
        .map(({ secret }) => secret),
      timeoutMs: config.timeoutMs,
      dispatcher: this.#agent,
      userAgent: `mcp-taskgate/${version}`,
      headers: { "x-mcp-subscription-id": id },
      signal,
    };
  }

  /** Tells the other gateways, any of which may be asked for it. */
  #noteHealth(id: string, state: CourierState, failure: Failure | undefined): void {
    const { store, clock } = this.#options;
    const { deliveredAt, failingSince, failures } = state;
    const health: DeliveryHealth = {
      isLeftAlone: MANNERS.restMs(failures) > 0,
      ...(deliveredAt === undefined ? {} : { deliveredAt }),
      ...(failingSince === undefined ? {} : { failingSince }),
      ...(failure === undefined ? {} : { failure }),
    };
    const said = JSON.stringify([health.isLeftAlone, failure, failingSince]);
    const last = this.#health.get(id);
    if (last?.said === said && clock() - last.at < HEALTH_EVERY_MS) return;
    this.#health.set(id, { said, at: clock() });
    store.subscriptions.noteHealth(id, health).catch((err: unknown) => {
      this.#health.delete(id);
      this.#warn({ err }, "could not note how a receiver takes events");
    });
  }

  #warn(details: object, message: string): void {
    throttled(this.#options.log).say("warn", details, message);
  }
}

interface Granting {
  readonly id: string;
  readonly owner: TaskOwner;
  readonly request: SubscribeRequest;
  readonly verifiedAt: number;
  readonly earlier: Subscription | undefined;
}

function keyOf({ route, caller }: TaskOwner): string {
  return JSON.stringify([route, caller]);
}

/** Whoever has a subscription's courier delivers all of it. */
const ALWAYS = { refresh: async () => {}, isMine: () => true };

/** Of which kind the last failure was, and never what the receiver said. */
function statusOf({ isLeftAlone, deliveredAt, failingSince, failure }: DeliveryHealth): JsonObject {
  return {
    active: !isLeftAlone,
    lastDeliveryAt: deliveredAt === undefined ? null : isoTime(deliveredAt),
    lastError: failure ?? null,
    ...(failingSince === undefined ? {} : { failedSince: isoTime(failingSince) }),
  };
}
