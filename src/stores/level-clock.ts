import { readFile } from "node:fs/promises";
import { steadyNow } from "../ops/clock.ts";
import { stepInWords, TOLERATED_STEP_MS, tellClockSteps, uptimeMs } from "../ops/wall-clock.ts";
import { isObject } from "../protocol/jsonrpc.ts";

/** As much of a machine as it takes to tell how much time has passed, whatever its clock says. */
export interface Machine {
  readonly uptimeMs: () => number;
  /** Differs from one start of the machine to the next. `undefined`: the machine does not say. */
  readonly bootId: string | undefined;
}

/** The clock was set ahead at that time by that much, so that what was written before is younger than it looks. Milliseconds. */
interface Jump {
  readonly at: number;
  readonly byMs: number;
}

/** What the clocks said together. */
interface Reading {
  readonly now: number;
  readonly wall: number;
  readonly uptimeMs: number;
  readonly bootId?: string | undefined;
}

export interface LevelClockOptions {
  /** What `write` was last given, by any process. */
  readonly written: string | undefined;
  readonly warn: (message: string) => void;
  readonly machine?: Machine | undefined;
}

/** Where the system of Linux says which start of the machine it is. */
const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const WRITE_EVERY_MS = 60_000;
const MAX_JUMPS = 100;

/**
 * The time of a store that one process after the other uses. Each process takes the wall clock once, when it begins; between two of them the clock may
 * have been set. How much time has really passed the machine says, which counts since its start. Where it was started anew, the clock is
 * believed, but for what it was off by when the process before took it.
 *
 * A clock that was set back keeps everything longer, by as much.
 */
export class LevelClock {
  readonly #machine: Machine;
  readonly #jumps: readonly Jump[];
  readonly #stopTelling: () => void;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor({ written, warn, machine = { uptimeMs, bootId: undefined } }: LevelClockOptions) {
    this.#machine = machine;
    const before = parse(written);
    const stepMs = before === undefined ? 0 : this.#stepSince(before.reading);
    const jumps = before?.jumps ?? [];
    // What was written before the clock was set ahead has a time before the step; what is written from now on has one behind it.
    const jump = { at: this.now() - stepMs, byMs: stepMs };
    this.#jumps = stepMs > 0 ? merged([...jumps, jump]) : jumps;
    if (stepMs !== 0)
      warn(
        `the clock of this machine was ${stepInWords(stepMs)} since the store was opened before: ` +
          (stepMs > 0
            ? "what is there is kept for as long as if it had not been"
            : "what is there is kept so much longer"),
      );
    this.#stopTelling = tellClockSteps(warn);
  }

  /** Milliseconds since the epoch. */
  now(): number {
    return steadyNow();
  }

  /** By how much the clock has been set ahead since something was written at that time. Milliseconds. */
  jumpedSince(writtenAt: number): number {
    return this.#jumps.reduce((sum, { at, byMs }) => (writtenAt <= at ? sum + byMs : sum), 0);
  }

  /** From now on the next process knows what time it was. `write` keeps a text beside the tasks. @throws what `write` does, the first time */
  async begin(write: (text: string) => Promise<void>): Promise<void> {
    const writeNow = () => write(JSON.stringify({ ...this.#read(), jumps: this.#jumps }));
    await writeNow();
    this.#timer = setInterval(() => {
      // A store that is away is told the next time.
      this.#writing = writeNow().catch(() => {});
    }, WRITE_EVERY_MS).unref();
  }

  async close(): Promise<void> {
    this.#stopTelling();
    clearInterval(this.#timer);
    await this.#writing;
  }

  #read(): Reading {
    const { uptimeMs: passed, bootId } = this.#machine;
    return { now: this.now(), wall: Date.now(), uptimeMs: passed(), bootId };
  }

  /** By how much the clock is ahead of what it should be now; 0: so little that it does not matter. */
  #stepSince(before: Reading): number {
    const now = this.#read();
    const isSameStart = before.bootId === now.bootId && now.uptimeMs >= before.uptimeMs;
    const passedMs = isSameStart ? now.uptimeMs - before.uptimeMs : Math.max(0, now.wall - before.wall);
    const stepMs = Math.round(now.now - before.now - passedMs);
    return Math.abs(stepMs) > TOLERATED_STEP_MS ? stepMs : 0;
  }
}

/** Of the machine that this process runs on. */
export async function thisMachine(): Promise<Machine> {
  const bootId = await readFile(BOOT_ID, "utf8").catch(() => undefined);
  return { uptimeMs, bootId: bootId?.trim() };
}

/** The oldest as one, should there be too many: what was written before the first is then kept longer. */
function merged(jumps: readonly Jump[]): readonly Jump[] {
  const [first, second, ...rest] = jumps;
  if (jumps.length <= MAX_JUMPS || first === undefined || second === undefined) return jumps;
  return [{ at: second.at, byMs: first.byMs + second.byMs }, ...rest];
}

/** `undefined`: nothing that can be understood. Then the clock is believed. */
function parse(
  text: string | undefined,
): { readonly reading: Reading; readonly jumps: readonly Jump[] } | undefined {
  if (text === undefined) return undefined;
  try {
    const { now, wall, uptimeMs: passed, bootId, jumps } = JSON.parse(text) as Record<string, unknown>;
    if (typeof now !== "number" || typeof wall !== "number" || typeof passed !== "number") return undefined;
    const reading = { now, wall, uptimeMs: passed, bootId: typeof bootId === "string" ? bootId : undefined };
    return { reading, jumps: Array.isArray(jumps) ? jumps.filter(isJump) : [] };
  } catch {
    return undefined;
  }
}

function isJump(jump: unknown): jump is Jump {
  return isObject(jump) && typeof jump.at === "number" && typeof jump.byMs === "number";
}
