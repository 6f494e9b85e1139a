import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import timersPromises from "node:timers/promises";
import type { Random } from "../survival/support/seeded.ts";

/** A program of the simulation, whose code runs only in events of its own. */
export class Program {
  readonly name: string;
  /** By how much its wall clock is ahead. Milliseconds. */
  clockOffsetMs = 0;
  /** Until then it is stopped as by SIGSTOP: what happens to it meanwhile waits. */
  pausedUntil = 0;
  /** Dead programs have no events any more. */
  diedAt: number | undefined;

  constructor(name: string) {
    this.name = name;
  }

  get isDead(): boolean {
    return this.diedAt !== undefined;
  }
}

export interface Happening {
  at: number;
  order: number;
  readonly what: string;
  /** Whose code it runs; absent: nobody's, it happens outside. */
  readonly program: Program | undefined;
  readonly run: () => void;
}

export const EPOCH_MS = 1_800_000_000_000;
const realSetImmediate = setImmediate;
const EVENTS_A_TURN = 64;
let timeline: Timeline | undefined;

/**
 * Virtual time. Events happen one after the other, and after each all promises are settled that can be, so that which event comes
 * next is the only thing that can differ between two runs; and that comes from the delays, which come from the seed.
 */
export class Timeline {
  readonly random: Random;
  /** Told of every event before it happens. */
  onEvent: ((event: Happening) => void) | undefined;
  now = 0;
  /** Whose code is running. */
  current: Program | undefined;
  happened = 0;
  #order = 0;
  /** In the order in which they are to happen, the next one last. */
  readonly #queue: Happening[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  /** Makes the timers, clocks and random bytes of this process those of the timeline. */
  begin(): void {
    timeline = this;
    install();
  }

  /** The wall clock of the program that is running. Milliseconds since the epoch. */
  wallClock(): number {
    return Math.floor(EPOCH_MS + this.now + (this.current?.clockOffsetMs ?? 0));
  }

  after(delayMs: number, what: string, run: () => void, program?: Program): Happening {
    const event = { at: this.now + Math.max(0, delayMs), order: this.#order++, what, program, run };
    this.#insert(event);
    return event;
  }

  cancel(event: Happening): void {
    const index = this.#queue.indexOf(event);
    if (index !== -1) this.#queue.splice(index, 1);
  }

  /** Lets things happen until `isOver`, or until nothing is left before `untilMs`. */
  async run(untilMs: number, isOver: () => boolean): Promise<void> {
    const isDue = () => {
      const next = this.#queue.at(-1);
      return next !== undefined && next.at <= untilMs && !isOver();
    };
    while (isDue()) {
      // Node settles all promises after each of them. One turn of its loop for many is a good deal less work than one for each.
      for (let number = 0; number < EVENTS_A_TURN; number += 1)
        realSetImmediate(() => {
          this.current = undefined;
          if (isDue()) this.#next();
        });
      await new Promise<void>((resolve) => realSetImmediate(resolve));
      this.current = undefined;
    }
    if (!isOver()) this.now = untilMs;
  }

  /** Lets the next thing happen. */
  #next(): void {
    const next = this.#queue.pop();
    if (next === undefined) return;
    this.now = next.at;
    const { program } = next;
    if (program?.isDead) return;
    if (program !== undefined && program.pausedUntil > this.now) {
      this.#insert({ ...next, at: program.pausedUntil, order: this.#order++ }, next);
      return;
    }
    this.happened += 1;
    this.onEvent?.(next);
    this.current = program;
    next.run();
  }

  #insert(event: Happening, instead?: Happening): void {
    if (instead !== undefined) {
      // Whoever holds the event can still cancel it.
      instead.at = event.at;
      instead.order = event.order;
    }
    const inserted = instead ?? event;
    let [low, high] = [0, this.#queue.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#queue[middle] as Happening;
      if (other.at > inserted.at || (other.at === inserted.at && other.order > inserted.order))
        low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, inserted);
  }
}

/** As much of a timer of Node's as is used. */
interface Timer {
  event: Happening | undefined;
  hasRef(): boolean;
  ref(): Timer;
  unref(): Timer;
}

let isInstalled = false;

/** For as long as the process lives: a simulation has it for itself. */
function install(): void {
  if (isInstalled) return;
  isInstalled = true;
  const here = () => {
    if (timeline === undefined) throw new Error("no simulation is running");
    return timeline;
  };
  const timer = (delayMs: number, run: () => void, isRepeated: boolean) => {
    const { current } = here();
    // As Node has it.
    const everyMs = delayMs >= 1 && delayMs <= 2 ** 31 - 1 ? delayMs : 1;
    const handle: Timer = {
      event: undefined,
      hasRef: () => false,
      ref: () => handle,
      unref: () => handle,
    };
    const begin = () => {
      handle.event = here().after(
        everyMs,
        "timer",
        () => {
          if (isRepeated) begin();
          run();
        },
        current,
      );
    };
    begin();
    return handle;
  };
  const stop = (handle: Timer | undefined) => {
    if (handle?.event !== undefined) here().cancel(handle.event);
  };
  Object.assign(globalThis, {
    setTimeout: (run: (...given: unknown[]) => void, delayMs = 1, ...given: unknown[]) =>
      timer(delayMs, () => run(...given), false),
    setInterval: (run: (...given: unknown[]) => void, delayMs = 1, ...given: unknown[]) =>
      timer(delayMs, () => run(...given), true),
    clearTimeout: stop,
    clearInterval: stop,
  });
  Object.defineProperty(performance, "now", { value: () => here().now });
  Object.defineProperty(Date, "now", { value: () => here().wallClock() });
  Object.assign(timersPromises, {
    setTimeout: (delayMs = 1, value?: unknown, { signal }: { readonly signal?: AbortSignal } = {}) =>
      new Promise((resolve, reject) => {
        const onAbort = () => {
          stop(handle);
          reject(signal?.reason);
        };
        const handle = timer(
          delayMs,
          () => {
            signal?.removeEventListener("abort", onAbort);
            resolve(value);
          },
          false,
        );
        if (signal?.aborted) onAbort();
        else signal?.addEventListener("abort", onAbort, { once: true });
      }),
  });
  const bytes = (length: number) => Buffer.from(Array.from({ length }, () => here().random.between(0, 255)));
  let ids = 0;
  Object.assign(crypto, {
    randomBytes: bytes,
    // Names calls in this process only.
    randomUUID: () => `00000000-0000-4000-8000-${String(++ids).padStart(12, "0")}`,
  });
  syncBuiltinESMExports();
}
