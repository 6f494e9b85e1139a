import { readFile } from "node:fs/promises";
import { steadyNow } from "../../lib/clock.ts";
import { stepInWords, TOLERATED_STEP_MS, tellClockSteps, uptimeMs } from "../../lib/wall-clock.ts";
import { isObject } from "../../protocol/jsonrpc.ts";

/** What tells how much time has passed on a machine, whatever its wall clock says. */
export interface Machine {
  readonly uptimeMs: () => number;
  /** Identifies one start of the machine. `undefined`: the machine does not say. */
  readonly bootId: string | undefined;
}

/** Somebody set the clock ahead by `byMs` at `at`, so values written before are younger than they look. Milliseconds. */
interface Jump {
  readonly at: number;
  readonly byMs: number;
}

/** What the clocks said at one moment. */
interface Reading {
  readonly now: number;
  readonly wall: number;
  readonly uptimeMs: number;
  readonly bootId?: string | undefined;
}

export interface LevelClockOptions {
  /** The text that a process last passed to `write`. */
  readonly written: string | undefined;
  readonly warn: (message: string) => void;
  readonly machine?: Machine | undefined;
}

/** Where Linux identifies the start of the machine. */
const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const WRITE_EVERY_MS = 60_000;
const MAX_JUMPS = 100;

/**
 * The clock of a store that one process after another uses. Each process reads the wall clock once, when it begins; somebody may set the
 * clock between two processes. The machine's uptime tells how much time has really passed. After a restart of the machine we trust the
 * wall clock, corrected by how far the process before was off from it.
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
    // Values from before the step have earlier times than `at`, values from now on have later ones.
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

  /** By how many milliseconds somebody has set the clock ahead since `writtenAt`. */
  jumpedSince(writtenAt: number): number {
    return this.#jumps.reduce((sum, { at, byMs }) => (writtenAt <= at ? sum + byMs : sum), 0);
  }

  /**
   * Records the time for the next process, now and every minute. `write` stores a text beside the tasks.
   * @throws what the first `write` throws
   */
  async begin(write: (text: string) => Promise<void>): Promise<void> {
    const writeNow = () => write(JSON.stringify({ ...this.#read(), jumps: this.#jumps }));
    await writeNow();
    this.#timer = setInterval(() => {
      // If the store fails, the next write will do.
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

  /** By how many milliseconds the clock is ahead of (or, negative, behind) the right time; 0 when within the tolerance. */
  #stepSince(before: Reading): number {
    const now = this.#read();
    const isSameStart = before.bootId === now.bootId && now.uptimeMs >= before.uptimeMs;
    const passedMs = isSameStart ? now.uptimeMs - before.uptimeMs : Math.max(0, now.wall - before.wall);
    const stepMs = Math.round(now.now - before.now - passedMs);
    return Math.abs(stepMs) > TOLERATED_STEP_MS ? stepMs : 0;
  }
}

/** The machine that this process runs on. */
export async function thisMachine(): Promise<Machine> {
  const bootId = await readFile(BOOT_ID, "utf8").catch(() => undefined);
  return { uptimeMs, bootId: bootId?.trim() };
}

/** Merges the two oldest jumps if there are too many: values from between them then stay longer. */
function merged(jumps: readonly Jump[]): readonly Jump[] {
  const [first, second, ...rest] = jumps;
  if (jumps.length <= MAX_JUMPS || first === undefined || second === undefined) return jumps;
  return [{ at: second.at, byMs: first.byMs + second.byMs }, ...rest];
}

/** `undefined`: no text, or an unreadable one; we then trust the clock. */
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
