import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { within } from "../../lib/within.ts";

/**
 * Reads which groups run, `+ 123` and `- 123`, and ends those that are left when the pipe ends: its other end is open as long as the
 * gateway lives. They have had the end of their input then, as the gateway's death closes that as well.
 */
const SCRIPT = `
trap '' HUP INT TERM
groups=
while read -r sign group; do
  case $sign in
    +) groups="$groups $group" ;;
    -) rest=
       for each in $groups; do [ "$each" = "$group" ] || rest="$rest $each"; done
       groups=$rest ;;
  esac
done
[ -n "$groups" ] || exit 0
for each in $groups; do kill -s TERM -- "-$each"; done
sleep 1
for each in $groups; do kill -s KILL -- "-$each"; done
`;
const SHELL = "/bin/sh";
/** How long the process may take to end after the end of its input. */
const GOODBYE_MS = 1_000;

/**
 * A small process that ends groups of processes when this one dies without a chance to do so itself, by SIGKILL. It is in a session of its
 * own, so that whoever kills this process's group does not kill the watchdog. Where there is no shell, as in some images of containers, it
 * does nothing: the end of a container ends all its processes.
 */
export class Watchdog {
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;

  /** @param onExit called when it has ended, whoever has ended it */
  constructor(onExit: () => void) {
    this.#process = spawn(SHELL, ["-c", SCRIPT], {
      // Keeps no directory busy, and knows no secrets.
      cwd: "/",
      env: { PATH: "/usr/bin:/bin" },
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    this.#process.stdin?.on("error", () => {});
    this.#exited = once(this.#process, "close").catch(() => {});
    void this.#exited.then(onExit);
    // It must not keep alive what it watches.
    this.#process.unref();
    (this.#process.stdin as { unref?(): void } | null)?.unref?.();
  }

  watch(group: number): void {
    this.#process.stdin?.write(`+ ${group}\n`);
  }

  forget(group: number): void {
    this.#process.stdin?.write(`- ${group}\n`);
  }

  /** Ends it, to be called when no group is left. Settles when it is gone, or does not want to go. */
  async close(): Promise<void> {
    this.#process.stdin?.end();
    await within(GOODBYE_MS, this.#exited);
  }
}
