import type { Backend, ListEntry, Spent } from "../../src/store/backend.ts";
import { type Nudge, StoreUnavailable } from "../../src/store/task-store.ts";
import { Watchers } from "../../src/store/watchers.ts";
import type { Program, Timeline } from "./timeline.ts";

/**
 * `level`: a directory of one process. `redis`: one server, which takes what comes on one connection in its order, and nothing any more
 * that its client has given up. `cluster`: neither of the two holds.
 */
export type StoreKind = "level" | "redis" | "cluster";

export interface StoreWeather {
  /** One operation in so many does not arrive, one in so many has no reply that arrives; 0: none. */
  lost: number;
  unheard: number;
  /** One nudge in so many is lost; 0: none. */
  nudgesLost: number;
  /** The longest that an operation or its reply is usually under way. Milliseconds. */
  delayMs: number;
}

/** What is written, and by whom. */
export interface StoreWrite {
  readonly key: string;
  /** Undefined: there was nothing. */
  readonly before: string | undefined;
  readonly text: string;
  readonly by: Program;
}

export interface SimulatedStoreOptions {
  readonly timeline: Timeline;
  readonly kind: StoreKind;
  readonly timeoutMs: number;
  readonly missedEveryMs: number;
  /** Told of everything that is written, when it is. */
  readonly onWrite: (write: StoreWrite) => void;
  /** Told when something that was asked is not going to be done, or not to be heard. */
  readonly onTrouble: () => void;
  /** Asked before a program asks for anything: it may die there and then. */
  readonly mayDie: (program: Program) => void;
  readonly trace: (line: () => string) => void;
}

interface Cell {
  readonly text: string;
  readonly expiresAt: number;
}

interface Undo {
  readonly at: number;
  readonly key: string;
  readonly undo: () => void;
}

/** How long what was written last can be forgotten by a failover. */
const REMEMBERED_MS = 2_000;
/** What is done in the memory of one process takes no longer. */
const LOCAL_MS = 1;

interface Link {
  readonly watchers: Watchers;
  /** When the last thing that was sent on the connection arrives. */
  arrivesAt: number;
  repliesAt: number;
}

/** One store for all programs of a simulation: what stands in it, how it is reached, and how it is away. */
export class SimulatedStore {
  readonly weather: StoreWeather = { lost: 0, unheard: 0, nudgesLost: 0, delayMs: 3 };
  /** Until then nobody reaches it. */
  awayUntil = 0;
  /** Until then it takes what arrives, and does nothing. */
  frozenUntil = 0;
  /** Until then these do not reach it. */
  readonly cutUntil = new Map<Program, number>();
  /** When an operation of a program last failed. */
  readonly failedAt = new Map<Program, number>();
  readonly #options: SimulatedStoreOptions;
  readonly #cells = new Map<string, Cell>();
  readonly #lists = new Map<string, Map<string, number>>();
  readonly #links = new Map<Program, Link>();
  /** What has arrived and is not done yet. */
  readonly #frozen: (() => void)[] = [];
  #undo: Undo[] = [];

  constructor(options: SimulatedStoreOptions) {
    this.#options = options;
  }

  /** What stands, as text. */
  text(key: string): string | undefined {
    const cell = this.#cells.get(key);
    if (cell === undefined) return undefined;
    if (cell.expiresAt > this.#options.timeline.now) return cell.text;
    this.#cells.delete(key);
    return undefined;
  }

  value<T>(key: string): T | undefined {
    const text = this.text(key);
    return text === undefined ? undefined : (JSON.parse(text) as T);
  }

  /** Whether a list whose name begins so has a member that ends so. */
  isListed(list: string, end: string): boolean {
    return [...this.#lists].some(
      ([name, members]) =>
        name.startsWith(list) && [...members.keys()].some((member) => member.endsWith(end)),
    );
  }

  keys(prefix: string): string[] {
    return [...this.#cells.keys()].filter((key) => key.startsWith(prefix) && this.text(key) !== undefined);
  }

  /** Whether a program can reach it, as far as it is up to the two of them. */
  isReachedBy(program: Program): boolean {
    const { now } = this.#options.timeline;
    return Math.max(this.awayUntil, this.frozenUntil, this.cutUntil.get(program) ?? 0) <= now;
  }

  /** Takes what arrives, and does it only at the end of that time. */
  freeze(forMs: number): void {
    const { timeline } = this.#options;
    this.frozenUntil = timeline.now + forMs;
    timeline.after(forMs, "the store goes on", () => timeline.now >= this.frozenUntil && this.thaw());
  }

  thaw(): void {
    this.frozenUntil = 0;
    for (const arrive of this.#frozen.splice(0)) arrive();
  }

  /**
   * Another server takes over that has not received what was written last. Gives the keys of which it knows nothing, or something
   * older.
   */
  failOver(forgottenMs: number): ReadonlySet<string> {
    const { now } = this.#options.timeline;
    const forgotten = this.#undo.filter(({ at }) => at > now - forgottenMs);
    for (const { undo } of [...forgotten].reverse()) undo();
    this.#undo = [];
    return new Set(forgotten.map(({ key }) => key));
  }

  /** How a program reaches it. */
  backendFor(program: Program): Backend {
    const { timeline, kind, missedEveryMs } = this.#options;
    const link: Link = { watchers: new Watchers(), arrivesAt: 0, repliesAt: 0 };
    this.#links.set(program, link);
    const isShared = kind !== "level";
    const missed = isShared
      ? setInterval(() => link.watchers.tell({ kind: "missed" }), missedEveryMs)
      : undefined;
    const writing = <T>(what: string, write: () => T) => this.#ask(program, link, what, write);
    let isClosed = false;
    const open =
      <Given extends readonly unknown[], T>(work: (...given: Given) => Promise<T>) =>
      (...given: Given): Promise<T> =>
        isClosed ? Promise.reject(new StoreUnavailable("closed")) : work(...given);
    return {
      isShared,
      getMany: open((keys) =>
        this.#ask(program, link, `get ${keys.join(" ")}`, () => keys.map((key) => this.value(key))),
      ),
      set: open((key, value, ttlMs, entries = []) => {
        const text = JSON.stringify(value);
        return writing(`set ${key}`, () => this.#set(program, { key, text, ttlMs, entries }));
      }),
      claim: open(async (key, value, ttlMs, entries = [], spent = undefined) => {
        const text = JSON.stringify(value);
        const standing = await writing(`claim ${key}`, () => {
          const before = this.value(key);
          if (before === undefined) this.#set(program, { key, text, ttlMs, entries });
          else this.#list(entries, key);
          if (!isShared && spent !== undefined) this.#remove(spent);
          return before ?? (JSON.parse(text) as unknown);
        });
        if (isShared && spent !== undefined)
          writing(`remove ${spent.keys.join(" ")}`, () => this.#remove(spent)).catch(() => {});
        return standing;
      }),
      list: open((list, after, limit) =>
        this.#ask(program, link, `list ${list}`, () => this.#members(list, after, limit)),
      ),
      listBack: open((list, before, limit) =>
        this.#ask(program, link, `list ${list}`, () =>
          this.#members(list, "", Number.POSITIVE_INFINITY)
            .filter((member) => member < before)
            .reverse()
            .slice(0, limit),
        ),
      ),
      unlist: open((list, member) =>
        writing(`unlist ${list} ${member}`, () => this.#remove({ keys: [], members: [{ list, member }] })),
      ),
      publish: (nudge) => this.#publish(program, nudge),
      watch: (listener) => link.watchers.add(listener),
      close: async () => {
        isClosed = true;
        clearInterval(missed);
        this.#links.delete(program);
        // What has begun finishes.
        await timeline.after(0, "closed", () => {}, program);
      },
    };
  }

  /** Has an operation arrive, be done and be replied to, or not. */
  #ask<T>(program: Program, link: Link, what: string, work: () => T): Promise<T> {
    const { timeline, kind, timeoutMs, mayDie, trace } = this.#options;
    const { random } = timeline;
    mayDie(program);
    // The dead say nothing, and hear nothing.
    if (program.isDead) return new Promise(() => {});
    return new Promise((resolve, reject) => {
      let isOver = false;
      const refuse = (why: string) => {
        if (isOver) return;
        isOver = true;
        this.failedAt.set(program, timeline.now);
        timeline.cancel(deadline);
        reject(new StoreUnavailable(`${what}: ${why}`));
      };
      const deadline = timeline.after(timeoutMs, `no reply: ${what}`, () => refuse("no reply"), program);
      if (!this.isReachedBy(program) && this.frozenUntil <= timeline.now) {
        // Nobody listens there, or what is sent goes nowhere.
        if (random.between(0, 2) > 0)
          timeline.after(random.between(0, 5), `refused: ${what}`, () => refuse("refused"), program);
        return;
      }
      const isLost = this.#oneIn(this.weather.lost);
      const isUnheard = this.#oneIn(this.weather.unheard);
      const inOrder = kind !== "cluster";
      // One reply in eight takes much longer than the others.
      const slow = random.between(0, 7) === 0 ? 20 : 1;
      const travel = () => (kind === "level" ? LOCAL_MS : random.between(0, this.weather.delayMs * slow));
      let arrivesAt = timeline.now + travel();
      if (inOrder) arrivesAt = link.arrivesAt = Math.max(link.arrivesAt, arrivesAt);
      const arrive = () => {
        const hasHungUp = program.diedAt !== undefined && random.between(0, 3) === 0;
        // A connection is fenced off before there is another one.
        const isFenced = isOver && inOrder;
        if (isLost || hasHungUp || isFenced || timeline.now < this.awayUntil) return;
        if (timeline.now < this.frozenUntil) return void this.#frozen.push(arrive);
        let result: T;
        try {
          result = work();
        } catch (error) {
          return void reject(error);
        }
        trace(() => `${program.name}: ${what}`);
        if (isUnheard || isOver) return;
        let repliesAt = timeline.now + travel();
        if (inOrder) repliesAt = link.repliesAt = Math.max(link.repliesAt, repliesAt);
        timeline.after(
          repliesAt - timeline.now,
          `reply: ${what}`,
          () => {
            if (isOver) return;
            isOver = true;
            timeline.cancel(deadline);
            resolve(result);
          },
          program,
        );
      };
      timeline.after(arrivesAt - timeline.now, `arrives: ${what}`, arrive);
    });
  }

  #oneIn(many: number): boolean {
    const isIt = many > 0 && this.#options.timeline.random.between(1, many) === 1;
    if (isIt) this.#options.onTrouble();
    return isIt;
  }

  #set(
    by: Program,
    given: {
      readonly key: string;
      readonly text: string;
      readonly ttlMs: number;
      readonly entries: readonly ListEntry[];
    },
  ): void {
    const { key, text, ttlMs, entries } = given;
    this.#list(entries, key);
    const before = this.#cells.get(key);
    const standing = this.text(key);
    this.#remember(key, () =>
      before === undefined ? this.#cells.delete(key) : this.#cells.set(key, before),
    );
    this.#cells.set(key, { text, expiresAt: this.#options.timeline.now + ttlMs });
    this.#options.onWrite({ key, before: standing, text, by });
  }

  #list(entries: readonly ListEntry[], key: string): void {
    for (const { list, member, ttlMs } of entries) {
      const members = this.#lists.get(list) ?? new Map<string, number>();
      this.#lists.set(list, members);
      const before = members.get(member);
      this.#remember(key, () =>
        before === undefined ? members.delete(member) : members.set(member, before),
      );
      members.set(member, Math.max(before ?? 0, this.#options.timeline.now + ttlMs));
    }
  }

  #remove({ keys, members }: Spent): void {
    for (const key of keys) {
      const before = this.#cells.get(key);
      if (before === undefined) continue;
      this.#cells.delete(key);
      this.#remember(key, () => this.#cells.set(key, before));
    }
    for (const { list, member } of members) {
      const listed = this.#lists.get(list);
      const expiresAt = listed?.get(member);
      if (listed === undefined || expiresAt === undefined) continue;
      listed.delete(member);
      this.#remember(`list:${list}:${member}`, () => listed.set(member, expiresAt));
    }
  }

  #members(list: string, after: string, limit: number): string[] {
    const { now } = this.#options.timeline;
    const members = [...(this.#lists.get(list) ?? [])].filter(([member, at]) => at > now && member > after);
    return members
      .map(([member]) => member)
      .sort()
      .slice(0, limit);
  }

  #remember(key: string, undo: () => void): void {
    const { now } = this.#options.timeline;
    while (this.#undo[0] !== undefined && this.#undo[0].at < now - REMEMBERED_MS) this.#undo.shift();
    this.#undo.push({ at: now, key, undo });
  }

  /** Those of this program are told at once, the others in a while. */
  #publish(program: Program, nudge: Nudge): void {
    const { timeline, mayDie } = this.#options;
    mayDie(program);
    if (program.isDead) return;
    this.#links.get(program)?.watchers.tell(nudge);
    if (!this.isReachedBy(program)) return;
    for (const [other, { watchers }] of this.#links) {
      if (other === program || this.#oneIn(this.weather.nudgesLost)) continue;
      const delayMs = timeline.random.between(0, this.weather.delayMs * 2);
      timeline.after(
        delayMs,
        `nudge: ${nudge.kind}`,
        () => (this.cutUntil.get(other) ?? 0) <= timeline.now && watchers.tell(nudge),
        other,
      );
    }
  }
}
