import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Watchdog } from "./watchdog.ts";

/** Polling interval: Node has no event for the end of a process that is not its own child. */
const LOOK_AGAIN_MS = 20;
/** How long a killed process may take to be gone: its parent has to reap it, and for a grandchild that is the system's first process. */
const REAP_MS = 3_000;

/** How a group ended: no process is left of it, none that runs, or some that could not be ended. */
export type GroupEnd = "gone" | "unreaped" | "left";

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
   */
  async end(graceMs: number): Promise<GroupEnd> {
    this.signal("SIGTERM");
    let end = await this.#over(graceMs);
    if (end === "left") {
      this.signal("SIGKILL");
      end = await this.#over(REAP_MS);
    }
    running.delete(this);
    if (running.size === 0) process.off("exit", killAll);
    await letGo(this);
    return end;
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

  async #over(patienceMs: number): Promise<GroupEnd> {
    const deadline = performance.now() + patienceMs;
    while (this.signal(0)) {
      if (performance.now() >= deadline) return (await isUnreaped(this.leader)) ? "unreaped" : "left";
      await sleep(LOOK_AGAIN_MS);
    }
    return "gone";
  }
}

/**
 * Whether what is left of a group has ended and is kept for a parent that does not ask how. Processes whose parent has ended get the system's
 * first process for one, and in a container that may be a program that never asks, as Node does not. Linux tells; elsewhere the answer is no.
 */
async function isUnreaped(group: number): Promise<boolean> {
  let isLeft = false;
  const names = process.platform === "linux" ? await readdir("/proc").catch(() => []) : [];
  for (const pid of names.filter((name) => /^\d+$/.test(name))) {
    const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    // Behind the name of the program, which may hold anything: its state, parent and group.
    const [state = "", , of] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (Number(of) !== group) continue;
    // The leader is our own child, and is reaped.
    if (!"ZX".includes(state) || Number(pid) === group) return false;
    isLeft = true;
  }
  return isLeft;
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
