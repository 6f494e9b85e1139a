import { setTimeout as sleep } from "node:timers/promises";
import { Watchdog } from "./watchdog.ts";

/** Polling interval: Node has no event for the end of a process that is not its own child. */
const LOOK_AGAIN_MS = 20;
/** How long a killed process may take to be gone: its parent has to reap it, and for a grandchild that is the system's first process. */
const REAP_MS = 3_000;

const HAS_GROUPS = process.platform !== "win32";

/** The groups to kill when this process ends, however it does. */
const running = new Set<ProcessGroup>();
/** Kills them when this process cannot. There while any group runs. */
let watchdog: Watchdog | undefined;

/**
 * A process that leads its own group, and all its descendants that stay in the group. If this process exits, by an exception or otherwise,
 * before the group has ended, it kills the group; if it is killed itself, the watchdog does so. On Windows, which has no groups, it is the
 * leader alone, and nothing ends it when this process is killed but the end of its input.
 */
export class ProcessGroup {
  readonly leader: number;
  readonly #target: number;

  /** @param leader the id of a process that runs, or has not been reaped yet */
  constructor(leader: number) {
    this.leader = leader;
    this.#target = HAS_GROUPS ? -leader : leader;
    if (running.size === 0) process.on("exit", killAll);
    running.add(this);
    if (HAS_GROUPS) guard(this);
  }

  /**
   * Ends the group: SIGTERM, and after `graceMs` SIGKILL for the processes that are still there. Call it once: when the group is gone, its
   * number may belong to other processes.
   * @returns whether no process is left, not even an unreaped one
   */
  async end(graceMs: number): Promise<boolean> {
    this.signal("SIGTERM");
    let isGone = await this.#gone(graceMs);
    if (!isGone) {
      this.signal("SIGKILL");
      isGone = await this.#gone(REAP_MS);
    }
    running.delete(this);
    if (running.size === 0) process.off("exit", killAll);
    await letGo(this);
    return isGone;
  }

  /** Signals every process of the group; 0 only checks. Returns whether there is any. */
  signal(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(this.#target, signal);
    } catch (error) {
      // A process that may not be signalled (EPERM) still exists.
      return (error as NodeJS.ErrnoException).code !== "ESRCH";
    }
  }

  async #gone(patienceMs: number): Promise<boolean> {
    const deadline = performance.now() + patienceMs;
    while (this.signal(0)) {
      if (performance.now() >= deadline) return false;
      await sleep(LOOK_AGAIN_MS);
    }
    return true;
  }
}

function guard(group: ProcessGroup): void {
  if (watchdog !== undefined) return watchdog.watch(group.leader);
  const fresh = new Watchdog(() => {
    if (watchdog === fresh) watchdog = undefined;
  });
  watchdog = fresh;
  // The watchdog before may have been killed.
  for (const { leader } of running) fresh.watch(leader);
}

async function letGo(group: ProcessGroup): Promise<void> {
  const present = watchdog;
  present?.forget(group.leader);
  if (running.size > 0) return;
  watchdog = undefined;
  await present?.close();
}

function killAll(): void {
  for (const group of running) group.signal("SIGKILL");
}
