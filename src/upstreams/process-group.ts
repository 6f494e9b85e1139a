import { setTimeout as sleep } from "node:timers/promises";

/** There is no event for the end of a process that is not our own child. */
const LOOK_AGAIN_MS = 20;
/** What has been killed is gone once somebody has reaped it: for a grandchild, the system's first process. */
const REAP_MS = 3_000;

const HAS_GROUPS = process.platform !== "win32";

/** The groups that have to go with this process, however it ends. */
const running = new Set<ProcessGroup>();

/**
 * A process that leads a group of its own, and whatever it starts that does not leave the group. Should this process exit,
 * by an exception or otherwise, before the group has ended, the group is killed.
 *
 * Windows has no groups; there it is the leader alone.
 */
export class ProcessGroup {
  readonly #target: number;

  /** @param leader the id of a process that runs, or has not been reaped yet */
  constructor(leader: number) {
    this.#target = HAS_GROUPS ? -leader : leader;
    if (running.size === 0) process.on("exit", killAll);
    running.add(this);
  }

  /**
   * Ends the group: SIGTERM, and SIGKILL for whoever is still there after `graceMs`. To be called once: the number may be
   * somebody else's when the group is gone.
   * @returns whether nobody is left, not even unreaped
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
    return isGone;
  }

  /** Signals every process of the group; 0 only looks. Says whether there is any. */
  signal(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(this.#target, signal);
    } catch (error) {
      // Who may not be signalled (EPERM) is there all the same.
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

function killAll(): void {
  for (const group of running) group.signal("SIGKILL");
}
