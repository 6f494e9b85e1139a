/** buildah and podman with a storage of their own, as a machine has them that nobody prepared: no daemon, no registry, no systemd. */

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { missingPrograms } from "../../support/required-programs.ts";

const PROGRAMS = ["buildah", "podman", "crun", "busybox", "redis-server", "unshare", "nsenter", "ip"];
const MAX_OUTPUT_BYTES = 64 * 1_024 * 1_024;

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Before the image: volumes, names. */
  readonly options?: readonly string[];
  /** Behind the image. */
  readonly args?: readonly string[];
}

export interface EngineAddress {
  readonly folder: string;
  /** The process whose mounts are the engine's. */
  readonly mounts: number;
}

export class Engine {
  /** Where images, containers and what else the tests need are; gone with `close`. */
  readonly folder: string;
  readonly #mounts: number;
  readonly #ending: () => Promise<void>;

  /**
   * The mounts of containers are in a mount namespace of their own, which ends with this process. The control groups of the machine are
   * not to be seen there: crun refuses some, and the containers get none.
   * @throws Error that says what is missing
   */
  static async start(): Promise<Engine> {
    const missing = missingPrograms(PROGRAMS);
    if (missing !== undefined) throw new Error(`images cannot be built here: ${missing}`);
    if (process.getuid?.() !== 0) throw new Error("images cannot be built here: it takes root on Linux");
    const folder = await mkdtemp(join(tmpdir(), "taskgate-image-"));
    const inside = "mount -t tmpfs none /sys/fs/cgroup && echo ready && exec cat";
    const mounts = spawn("unshare", ["--mount", "--propagation", "private", "sh", "-c", inside], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await Promise.race([
      once(mounts.stdout, "data"),
      once(mounts, "exit").then(() => {
        throw new Error("images cannot be built here: no mount namespace");
      }),
    ]);
    return new Engine({ folder, mounts: mounts.pid ?? 0 }, async () => {
      const ended = once(mounts, "exit");
      mounts.stdin.end();
      await ended;
      await rm(folder, { recursive: true, force: true });
    });
  }

  /** One that another process has started, and closes. */
  static at(address: EngineAddress): Engine {
    return new Engine(address, async () => {});
  }

  private constructor({ folder, mounts }: EngineAddress, ending: () => Promise<void>) {
    this.folder = folder;
    this.#mounts = mounts;
    this.#ending = ending;
  }

  get address(): EngineAddress {
    return { folder: this.folder, mounts: this.#mounts };
  }

  /** Builds an image of a Containerfile; base images come from this storage alone. @throws with what was printed */
  async build(image: string, file: string, context: string, options: readonly string[] = []): Promise<void> {
    const fixed = ["--pull=never", "--isolation", "chroot", "--network", "host", "--format", "docker"];
    await this.must("buildah", ["build", ...fixed, ...options, "--file", file, "--tag", image, context]);
  }

  /** Runs an image to its end, as little trusted as can be. */
  run(image: string, { options = [], args = [] }: RunOptions = {}): Promise<Ran> {
    return this.command("podman", [
      "run",
      ...CONFINED,
      "--no-healthcheck",
      "--rm",
      ...options,
      image,
      ...args,
    ]);
  }

  /** Starts a container in the background. @throws when it does not start */
  async start(name: string, image: string, { options = [], args = [] }: RunOptions = {}): Promise<void> {
    // Its timer would be systemd's.
    const background = ["--health-interval", "disable", "--detach", "--name", name];
    await this.must("podman", ["run", ...CONFINED, ...background, ...options, image, ...args]);
  }

  podman(...args: string[]): Promise<string> {
    return this.must("podman", args);
  }

  /** What a container's configuration says, or an image's. */
  async inspect(name: string): Promise<Record<string, never>> {
    return JSON.parse(await this.podman("inspect", name))[0];
  }

  /** Runs a command with this storage to its end, and gives its standard output. @throws with what it printed */
  async must(program: "buildah" | "podman", args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.command(program, args);
    if (code !== 0) throw new Error(`${program} ${args.join(" ")}: exit code ${code}\n${stdout}${stderr}`);
    return stdout;
  }

  async command(program: "buildah" | "podman", args: readonly string[]): Promise<Ran> {
    const storage = ["--root", join(this.folder, "storage"), "--runroot", join(this.folder, "run")];
    const own = program === "podman" ? ["--cgroup-manager", "cgroupfs", "--events-backend", "none"] : [];
    const within = ["--target", String(this.#mounts), "--mount", "--", program];
    try {
      const all = [...within, ...storage, ...own, ...args];
      return { code: 0, ...(await promisify(execFile)("nsenter", all, { maxBuffer: MAX_OUTPUT_BYTES })) };
    } catch (error) {
      const { code, stdout = "", stderr = "" } = error as Ran;
      if (typeof code !== "number") throw error;
      return { code, stdout, stderr };
    }
  }

  async close(): Promise<void> {
    await this.command("podman", ["rm", "--all", "--force", "--time", "0"]);
    await this.#ending();
  }
}

/** Nothing can be written but volumes, and no capability is left; the last is for podman where nobody may raise limits. */
const CONFINED = [
  ...["--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges"],
  ...["--cgroups", "disabled", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"],
];
