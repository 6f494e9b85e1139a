import { createHash } from "node:crypto";
import type { Backend, ListEntry } from "./backend.ts";
import { isAway, type Outcome, type TaskId, type TaskRecord } from "./task-store.ts";

/** What happened to a task, as far as somebody outside the gateway is told. */
export type News =
  | { readonly kind: "created" }
  | { readonly kind: "asked"; readonly keys: readonly string[] }
  | { readonly kind: "progress" }
  | { readonly kind: "ended"; readonly outcome: Outcome };

export type NewsKind = News["kind"];

/** Who wants to be told of this, by the names of their outboxes. Must not throw. */
export type Subscribers = (task: TaskRecord, news: News) => readonly string[];

/** One piece of news for one receiver, and how far its delivery has come. */
export interface Delivery {
  readonly kind: NewsKind;
  /** When it happened, by the clock of the gateway that wrote it. Milliseconds since the epoch. */
  readonly at: number;
  readonly task: TaskId;
  /** Tells pieces of news of the same kind about the same task apart. */
  readonly mark: string;
  /** When it is to be tried. Milliseconds since the epoch. */
  readonly dueAt: number;
  /** How often it has been tried. */
  readonly attempts: number;
}

/** What an outbox keeps of a delivery that failed. */
export interface KeptDelivery {
  /** What the receiver is told, which the task may not outlive. */
  readonly body: string;
  /** When it is to be tried: an entry with an earlier time is an older one. Absent: it was given up. */
  readonly dueAt?: number;
  /** Why the last try failed. */
  readonly failure?: string | undefined;
}

/** The delivery that later ones about the same task wait for, so that they come in order. */
export interface Hold extends Pick<Delivery, "kind" | "at"> {
  readonly event: string;
  readonly until: number;
}

/** Longer than a delivery is tried. */
const KEEP_MS = 6 * 86_400_000;
/** How long a delivery that was given up can be taken up again. */
const KEEP_UNDELIVERED_MS = 7 * 86_400_000;
const RELEASED_MS = 60_000;

/**
 * The deliveries of each receiver that are to be made: a list in the order in which they are due. What happens to a task writes its entry
 * along with the task's own cell, so there is no news without a delivery, and no gateway has to be alive for both.
 *
 * An entry says only what happened and to which task: what is told comes from the record. When a delivery fails, `post:<name>:<event>`
 * keeps what was told, and `hold:<name>:<task>` makes later ones wait. Any gateway may deliver; two at the same time deliver twice.
 */
export class Outbox {
  readonly #backend: Backend;
  readonly #subscribers: Subscribers | undefined;

  constructor(backend: Backend, subscribers?: Subscribers) {
    this.#backend = backend;
    this.#subscribers = subscribers;
  }

  /** Whether anybody wants to be told of anything. */
  get isUsed(): boolean {
    return this.#subscribers !== undefined;
  }

  /** The entries that a write of the task is to make durable. */
  entriesOf(task: TaskRecord, at: number, newsOf: () => readonly News[]): readonly ListEntry[] {
    const subscribers = this.#subscribers;
    if (subscribers === undefined) return [];
    return newsOf().flatMap((news) =>
      subscribers(task, news).map((name) => this.entryFor(name, task, { news, at, ttlMs: KEEP_MS })),
    );
  }

  /** The entry that makes one piece of news wait for one receiver. */
  entryFor(
    name: string,
    task: Pick<TaskRecord, "id">,
    { news, at, ttlMs }: { readonly news: News; readonly at: number; readonly ttlMs: number },
  ): ListEntry {
    const delivery = { kind: news.kind, at, task: task.id, mark: markOf(news, at), dueAt: at, attempts: 0 };
    return { list: listOf(name), member: memberOf(delivery), ttlMs };
  }

  /** Deliveries in the order in which they are due, after one of them. @throws StoreUnavailable */
  async waiting(name: string, limit: number, after?: Delivery): Promise<readonly Delivery[]> {
    const members = await this.#backend.list(listOf(name), after === undefined ? "" : memberOf(after), limit);
    return members.flatMap(deliveryOf);
  }

  /** Deliveries that were given up, the last first. @throws StoreUnavailable */
  async undelivered(name: string, limit: number, before?: Delivery): Promise<readonly Delivery[]> {
    const members = await this.#backend.listBack(
      undeliveredOf(name),
      before === undefined ? LIST_END : memberOf(before),
      limit,
    );
    return members.flatMap(deliveryOf);
  }

  /** What is kept of a delivery, and the one about its task that failed last, if that still waits. @throws StoreUnavailable */
  async keptOf(
    name: string,
    delivery: Delivery,
  ): Promise<{ readonly kept?: KeptDelivery | undefined; readonly hold?: Hold | undefined }> {
    const [kept, hold] = (await this.#intact([
      keptKey(name, eventId(delivery)),
      holdKey(name, delivery),
    ])) as [KeptDelivery?, (Hold | ReleasedHold)?];
    if (hold === undefined || "isReleased" in hold) return { kept };
    if (hold.event === eventId(delivery)) return { kept, hold };
    // Whoever made that one, or gave it up, may not have been able to release the hold.
    const [first] = (await this.#intact([keptKey(name, hold.event)])) as [KeptDelivery?];
    return isWaiting(first) ? { kept, hold } : { kept };
  }

  /** Makes later deliveries about the same task wait. @throws StoreUnavailable */
  hold(name: string, delivery: Delivery, until: number): Promise<void> {
    const hold: Hold = { event: eventId(delivery), kind: delivery.kind, at: delivery.at, until };
    return this.#backend.set(holdKey(name, delivery), hold, KEEP_MS);
  }

  /** Later deliveries about the same task need not wait any more. @throws StoreUnavailable */
  release(name: string, delivery: Delivery): Promise<void> {
    const released: ReleasedHold = { isReleased: true };
    return this.#backend.set(holdKey(name, delivery), released, RELEASED_MS);
  }

  /** Puts a delivery off. @throws StoreUnavailable; it may then be in the list twice */
  async postpone(
    name: string,
    from: Delivery,
    to: Delivery,
    body: string,
    failure?: string | undefined,
  ): Promise<void> {
    await this.#keep(name, to, { body, dueAt: to.dueAt, failure });
    await this.done(name, from);
  }

  /** Keeps what is to be told, unless something is kept of the delivery already. @throws StoreUnavailable */
  async keep(name: string, delivery: Delivery, body: string): Promise<void> {
    const kept: KeptDelivery = { body, dueAt: delivery.dueAt };
    await this.#backend.claim(keptKey(name, eventId(delivery)), kept, KEEP_MS);
  }

  /** Keeps nothing of it any more. @throws StoreUnavailable */
  drop(name: string, delivery: Delivery): Promise<void> {
    return this.#backend.set(keptKey(name, eventId(delivery)), DROPPED, RELEASED_MS);
  }

  /** The delivery was made, or there is nothing to tell. @throws StoreUnavailable */
  done(name: string, delivery: Delivery): Promise<void> {
    return this.#backend.unlist(listOf(name), memberOf(delivery));
  }

  /** Gives a delivery up. @throws StoreUnavailable */
  async giveUp(name: string, delivery: Delivery, at: number, body: string, failure: string): Promise<void> {
    const buried = { ...delivery, dueAt: at };
    const kept: KeptDelivery = { body, failure };
    const entry = { list: undeliveredOf(name), member: memberOf(buried), ttlMs: KEEP_UNDELIVERED_MS };
    await this.#backend.set(keptKey(name, eventId(delivery)), kept, KEEP_UNDELIVERED_MS, [entry]);
    await this.done(name, delivery);
  }

  /** Takes a delivery up again that was given up, from its first try. @throws StoreUnavailable */
  async takeUp(name: string, delivery: Delivery, at: number): Promise<void> {
    const { kept } = await this.keptOf(name, delivery);
    if (kept !== undefined && kept.dueAt !== DROPPED.dueAt) {
      const again = { ...kept, dueAt: at };
      // Before the entry: a gateway that finds that would take the delivery to be given up.
      await this.#backend.set(keptKey(name, eventId(delivery)), again, KEEP_MS);
      await this.#keep(name, { ...delivery, dueAt: at, attempts: 0 }, again);
    }
    await this.forget(name, delivery);
  }

  /** Drops a delivery that was given up. @throws StoreUnavailable */
  forget(name: string, delivery: Delivery): Promise<void> {
    return this.#backend.unlist(undeliveredOf(name), memberOf(delivery));
  }

  /** Without what cannot be read any more: then the event is told as the task's record has it. @throws StoreUnavailable */
  async #intact(keys: readonly string[]): Promise<readonly unknown[]> {
    const values = keys.map(async (key) => {
      try {
        return (await this.#backend.getMany([key]))[0];
      } catch (error) {
        if (isAway(error)) throw error;
        return undefined;
      }
    });
    return Promise.all(values);
  }

  #keep(name: string, delivery: Delivery, kept: KeptDelivery): Promise<void> {
    const entry = { list: listOf(name), member: memberOf(delivery), ttlMs: KEEP_MS };
    return this.#backend.set(keptKey(name, eventId(delivery)), kept, KEEP_MS, [entry]);
  }
}

/**
 * The id of an event (`webhook-id`): the same for every try, for every gateway that delivers it, and for whoever it is told. Nobody finds
 * the task's id from it.
 */
export function eventId({ task, kind, mark }: Pick<Delivery, "task" | "kind" | "mark">): string {
  return `msg_${digest(JSON.stringify([task, kind, mark])).slice(0, 27)}`;
}

/** Whether what happened first to a task is before what happened next. */
export function isBefore(first: Pick<Delivery, "kind" | "at">, next: Pick<Delivery, "kind" | "at">): boolean {
  return first.at < next.at || (first.at === next.at && LETTERS[first.kind] < LETTERS[next.kind]);
}

/** Every entry is older. */
const DROPPED: KeptDelivery = { body: "", dueAt: Number.MAX_SAFE_INTEGER };

/** Whether somebody has put the delivery off since, made it or given it up. A later entry is of a gateway that is about to put it off. */
export function isOlder(entry: Delivery, { dueAt = Number.POSITIVE_INFINITY }: KeptDelivery): boolean {
  return entry.dueAt < dueAt;
}

/** Neither made nor given up. */
function isWaiting(kept: KeptDelivery | undefined): boolean {
  return kept?.dueAt !== undefined && kept.dueAt !== DROPPED.dueAt;
}

interface ReleasedHold {
  readonly isReleased: true;
}

/** Comes after every member of a list. */
const LIST_END = "~";
/** In this order things of the same millisecond have happened to a task. */
const LETTERS: Readonly<Record<NewsKind, string>> = { created: "c", asked: "p", progress: "q", ended: "z" };
const KINDS = new Map(Object.entries(LETTERS).map(([kind, letter]) => [letter, kind as NewsKind]));
const TIME_DIGITS = 16;
const MARK_CHARS = 8;
const MEMBER = /^(\d{16})(\d\d)(\d{16})([cpqz])([\w-]{8})([\w-]{1,128})$/;

function memberOf({ dueAt, attempts, kind, at, mark, task }: Delivery): string {
  return `${timeOf(dueAt)}${String(attempts).padStart(2, "0")}${timeOf(at)}${LETTERS[kind]}${mark}${task}`;
}

/** None for a member that no gateway of this version wrote. */
function deliveryOf(member: string): readonly Delivery[] {
  const [, due, attempts, at, letter = "", mark, task] = MEMBER.exec(member) ?? [];
  const kind = KINDS.get(letter);
  if (kind === undefined || mark === undefined || task === undefined) return [];
  return [{ kind, at: Number(at), task, mark, dueAt: Number(due), attempts: Number(attempts) }];
}

function timeOf(at: number): string {
  return String(Math.max(0, Math.floor(at))).padStart(TIME_DIGITS, "0");
}

/** A task is created once and ends once, however often gateways say so. */
function markOf(news: News, at: number): string {
  switch (news.kind) {
    case "created":
    case "ended":
      return "-".repeat(MARK_CHARS);
    case "asked":
      return digest(JSON.stringify([...news.keys].sort())).slice(0, MARK_CHARS);
    case "progress":
      return digest(String(at)).slice(0, MARK_CHARS);
  }
}

function listOf(name: string): string {
  return `outbox-${digest(name).slice(0, 16)}`;
}

function undeliveredOf(name: string): string {
  return `undelivered-${digest(name).slice(0, 16)}`;
}

function keptKey(name: string, event: string): string {
  return `post:${digest(name).slice(0, 16)}:${event}`;
}

function holdKey(name: string, { task }: Delivery): string {
  return `hold:${digest(name).slice(0, 16)}:${task}`;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
