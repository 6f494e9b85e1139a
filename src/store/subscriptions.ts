import { createHash } from "node:crypto";
import type { JsonObject } from "../protocol/jsonrpc.ts";
import type { Backend, ListEntry } from "./backend.ts";
import type { News, Outbox } from "./outbox.ts";
import { isAway, type TaskOwner, type TaskRecord } from "./task-store.ts";

/** What a client wants to be told of its tasks, and where. */
export interface Subscription {
  /** Derived from what it is about, so that the same wish is the same subscription: it says nothing, and opens nothing. */
  readonly id: string;
  /** It tells of the tasks of this owner, and of nobody else's. */
  readonly owner: TaskOwner;
  readonly url: string;
  readonly name: string;
  readonly arguments: JsonObject;
  /** As Standard Webhooks writes them (`whsec_…`): the first is the client's, the others sign as well for a while. Never log them. */
  readonly secrets: readonly SigningSecret[];
  /** When the receiver last answered a challenge. Milliseconds since the epoch. */
  readonly verifiedAt: number;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface SigningSecret {
  readonly secret: string;
  /** Milliseconds since the epoch. Absent: as long as the subscription. */
  readonly until?: number;
}

/** How its receiver takes events, as whoever delivers them says from time to time. */
export interface DeliveryHealth {
  readonly isLeftAlone: boolean;
  /** Milliseconds since the epoch. */
  readonly deliveredAt?: number;
  readonly failingSince?: number;
  /** Of which kind the last failure was. */
  readonly failure?: string;
}

/** What is left of a subscription that its client ended. */
interface OverCell {
  readonly isOver: true;
  readonly owner: TaskOwner;
}

/** A stored subscription, or whose it was. */
export type Found =
  | { readonly is: "subscription"; readonly subscription: Subscription }
  | { readonly is: "over"; readonly owner: TaskOwner };

/** How long the store knows that there was a subscription. */
const REMEMBERED_MS = 3_600_000;
const HEALTH_MS = 2 * 86_400_000;
/** The longest that an event waits for a gateway. */
const KEEP_MS = 86_400_000;
/** More subscriptions than a caller may have, with those that expired a while ago. */
const MAX_LISTED = 400;

/**
 * Clients' own subscriptions. `sub:<id>` is one of them; `subs-<owner>` lists those of an owner, which every piece of news about one of its
 * tasks looks up, and `subscribed` all of them. Lists say only that there may be one. What waits for it is in an outbox of its own, whose
 * entries are written along with the task's own cells.
 *
 * Of two refreshes at the same time on two gateways the later write stands. Both are of the same caller, for the same receiver.
 */
export class Subscriptions {
  /** Whether clients may have any. */
  readonly isUsed: boolean;
  readonly #backend: Backend;
  readonly #outbox: Outbox;
  readonly #clock: () => number;

  constructor(options: {
    readonly backend: Backend;
    readonly outbox: Outbox;
    readonly clock: () => number;
    readonly isUsed: boolean;
  }) {
    this.#backend = options.backend;
    this.#outbox = options.outbox;
    this.#clock = options.clock;
    this.isUsed = options.isUsed;
  }

  /** `undefined`: there is none, and was none for a while. @throws StoreUnavailable */
  async find(id: string): Promise<Found | undefined> {
    const [found] = await this.findAll([id]);
    return found;
  }

  /** As `find`, in the order of the ids. @throws StoreUnavailable */
  async findAll(ids: readonly string[]): Promise<readonly (Found | undefined)[]> {
    const cells = await Promise.all(ids.map((id) => this.#intact(cellKey(id))));
    return cells.map((found) => {
      const cell = found as Subscription | OverCell | undefined;
      if (cell === undefined) return undefined;
      if ("isOver" in cell || cell.expiresAt <= this.#clock()) return { is: "over", owner: cell.owner };
      return { is: "subscription", subscription: cell };
    });
  }

  /** Those of one owner that have not expired. @throws StoreUnavailable */
  async ofOwner(owner: TaskOwner): Promise<readonly Subscription[]> {
    const found = await this.findAll(await this.#listed(owner));
    return found.flatMap((each) => (each?.is === "subscription" ? [each.subscription] : []));
  }

  /** Takes those that are over out of the owner's list, so that there is room in it. @throws StoreUnavailable */
  async tidy(owner: TaskOwner): Promise<void> {
    const ids = await this.#listed(owner);
    const found = await this.findAll(ids);
    const over = ids.filter((_, at) => found[at]?.is !== "subscription");
    for (const id of over) await this.#unlist(id, owner);
    // Another gateway may have granted one of them anew meanwhile.
    for (const again of await this.findAll(over))
      if (again?.is === "subscription") await this.put(again.subscription);
  }

  /** The ids of all that there may be, in order, at most `limit` after one of them. @throws StoreUnavailable */
  all(limit: number, after = ""): Promise<readonly string[]> {
    return this.#backend.list(ALL, after, limit);
  }

  /** From when this resolves, what happens to the owner's tasks waits for it. @throws StoreUnavailable */
  async put(subscription: Subscription): Promise<void> {
    const { id, owner, expiresAt } = subscription;
    const ttlMs = Math.max(1, Math.ceil(expiresAt - this.#clock())) + REMEMBERED_MS;
    const entries = [
      { list: listOf(owner), member: id, ttlMs },
      { list: ALL, member: id, ttlMs },
    ];
    await this.#backend.set(cellKey(id), subscription, ttlMs, entries);
    this.#backend.publish({ kind: "granted", id });
  }

  /** Ends it, for every gateway. @throws StoreUnavailable */
  async end({ id, owner }: Pick<Subscription, "id" | "owner">): Promise<void> {
    const over: OverCell = { isOver: true, owner };
    await this.#backend.set(cellKey(id), over, REMEMBERED_MS);
    await this.#unlist(id, owner);
    this.#backend.publish({ kind: "granted", id });
  }

  /** @throws StoreUnavailable */
  async health(id: string): Promise<DeliveryHealth | undefined> {
    return (await this.#intact(healthKey(id))) as DeliveryHealth | undefined;
  }

  /** @throws StoreUnavailable */
  noteHealth(id: string, health: DeliveryHealth): Promise<void> {
    return this.#backend.set(healthKey(id), health, HEALTH_MS);
  }

  /** The entries that a write of the task is to make durable, and whose they are. @throws StoreUnavailable */
  async entriesOf(task: TaskRecord, at: number, news: readonly News[]): Promise<Waiting> {
    const told = news.filter(({ kind }) => kind === "asked" || kind === "ended");
    if (!this.isUsed || told.length === 0 || !task.isListed) return NONE;
    const ids = await this.#listed(task);
    if (ids.length === 0) return NONE;
    const entries = ids.flatMap((id) =>
      told.map((each) => this.#outbox.entryFor(outboxOf(id), task, { news: each, at, ttlMs: KEEP_MS })),
    );
    return { ids, entries };
  }

  /** Tells one of them of what has happened already. @throws StoreUnavailable */
  async catchUp(id: string, task: TaskRecord, at: number, news: readonly News[]): Promise<void> {
    const entries = news.map((each) =>
      this.#outbox.entryFor(outboxOf(id), task, { news: each, at, ttlMs: KEEP_MS }),
    );
    await this.#backend.set(caughtUpKey(id), {}, 1, entries);
    this.nudge([id]);
  }

  /** Says that something waits for them. */
  nudge(ids: readonly string[]): void {
    for (const id of ids) this.#backend.publish({ kind: "told", id });
  }

  /** One key at a time: they are in different slots of a cluster. What cannot be read any more is not there. @throws StoreUnavailable */
  async #intact(key: string): Promise<unknown> {
    try {
      return (await this.#backend.getMany([key]))[0];
    } catch (error) {
      if (isAway(error)) throw error;
      return undefined;
    }
  }

  async #unlist(id: string, owner: TaskOwner): Promise<void> {
    await Promise.all([this.#backend.unlist(listOf(owner), id), this.#backend.unlist(ALL, id)]);
  }

  #listed(owner: TaskOwner): Promise<readonly string[]> {
    return this.#backend.list(listOf(owner), "", MAX_LISTED);
  }
}

/** Deliveries that are to be written, and the subscriptions that they are for. */
export interface Waiting {
  readonly ids: readonly string[];
  readonly entries: readonly ListEntry[];
}

export const NONE: Waiting = { ids: [], entries: [] };

/** The name of its outbox. No webhook has a name like it. */
export function outboxOf(id: string): string {
  return `subscription ${id}`;
}

const ALL = "subscribed";
const cellKey = (id: string) => `sub:${id}`;
const healthKey = (id: string) => `subhealth:${id}`;
const caughtUpKey = (id: string) => `subcaught:${id}`;

function listOf({ route, caller }: TaskOwner): string {
  const digest = createHash("sha256")
    .update(JSON.stringify([route, caller]))
    .digest("base64url");
  return `subs-${digest.slice(0, 27)}`;
}
