import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import type { Readable } from "node:stream";
import { getDefaultEnvironment } from "@modelcontextprotocol/client/stdio";
import type { Logger } from "pino";
import { within } from "../../lib/within.ts";
import { ChildInput } from "./child-input.ts";
import { secretsInEnvironment } from "./masked.ts";
import { ProcessGroup } from "./process-group.ts";
import { StderrLog } from "./stderr-log.ts";

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the few variables that any program needs; the child gets nothing else of the gateway's environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The server's logger. */
  readonly log: Logger;
  /** How long the process may take to exit after its input ended; 500 ms unless given. */
  readonly goodbyeMs?: number;
  /** How long the process may take to exit after SIGTERM; 5 s unless given. */
  readonly killGraceMs?: number;
  /** How long the process may leave a message unread that does not fit into the pipe; a minute unless given. */
  readonly readPatienceMs?: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const KILL_GRACE_MS = 5_000;
const READ_PATIENCE_MS = 60_000;
/** How long the process may take to exit after the end of its input (2025-11-25, Lifecycle §Shutdown). */
const GOODBYE_MS = 500;
/** How long to read its output after it has exited: another process may hold the other end open. */
const DRAIN_MS = 500;

const UNREAPED =
  "the server left processes behind that have ended and that nobody reaps, each of which takes a process id: in a container, start an init as its first process, as docker run --init does";
/** Those of servers that were told: once is enough, because it is about the container, or the machine. */
const toldOfUnreaped = new WeakSet<Logger>();

/** A server's process, which leads a process group of its own. */
export class Child {
  readonly pid: number;
  readonly input: ChildInput;
  readonly output: Readable;
  /** Resolves with how the process ended, once all its output has been read. Never rejects. */
  readonly exited: Promise<Exit>;
  readonly #group: ProcessGroup;
  readonly #stderr: StderrLog;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #log: Logger;
  readonly #goodbyeMs: number;
  readonly #killGraceMs: number;
  readonly #left: Promise<Exit>;
  #ending: Promise<void> | undefined;
  #isSignalled = false;
  #isOver = false;

  /** Starts the process, without a shell. @throws Error whose message says in plain words why it does not start */
  static async start(options: ChildOptions): Promise<Child> {
    const { command, args, env, cwd } = options;
    try {
      const child = spawn(command, [...args], {
        env: { ...getDefaultEnvironment(), ...env },
        stdio: "pipe",
        detached: process.platform !== "win32",
        windowsHide: true,
        cwd,
      });
      await once(child, "spawn");
      return new Child(child, options);
    } catch (error) {
      const problem = startProblem(options, (error as NodeJS.ErrnoException).code);
      options.log.error(`the server could not be started: ${problem}`);
      throw new Error(problem, { cause: error });
    }
  }

  private constructor(child: ChildProcessWithoutNullStreams, options: ChildOptions) {
    const { log, goodbyeMs, killGraceMs, readPatienceMs } = options;
    this.#process = child;
    this.#log = log;
    this.#goodbyeMs = goodbyeMs ?? GOODBYE_MS;
    this.#killGraceMs = killGraceMs ?? KILL_GRACE_MS;
    this.pid = child.pid as number;
    this.#group = new ProcessGroup(this.pid);
    this.#stderr = new StderrLog(this.#log, secretsInEnvironment(options.env));
    this.input = new ChildInput(child.stdin, readPatienceMs ?? READ_PATIENCE_MS);
    this.output = child.stdout;
    // The writer gets its own error from `write`, and the other streams close after one.
    for (const stream of child.stdio) stream?.on("error", () => {});
    child.stderr.on("data", (chunk: Buffer) => this.#stderr.take(chunk));
    const closed = once(child, "close");
    this.#left = once(child, "exit").then(([code, signal]) => ({ code, signal }));
    this.exited = this.#left.then(async (exit) => {
      const isExpected = this.#ending !== undefined || this.#isSignalled;
      void this.end();
      await within(DRAIN_MS, closed);
      this.#stderr.end();
      // Only if it failed: then its last words are about itself, and not about some call.
      const stderr = exit.code === 0 ? [] : this.#stderr.lastLines;
      if (!isExpected)
        this.#log.warn(stderr.length === 0 ? exit : { ...exit, stderr }, "the server has exited");
      return exit;
    });
  }

  /** The last lines of stderr that may say why the process exited. */
  get lastWords(): string | undefined {
    return this.#stderr.lastWords;
  }

  /** Passes a signal on to the process and its group, which may end of it. */
  signal(signal: NodeJS.Signals): void {
    // The number of a group that has ended may be another's.
    if (this.#isOver) return;
    this.#isSignalled = true;
    this.#group.signal(signal);
  }

  /**
   * Ends the process and its group, and settles when all of them are gone: closes its input, then SIGTERM, then SIGKILL. Ends processes that
   * the leader left behind in the same way. Never rejects.
   */
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    this.#process.stdin.end();
    await within(this.#goodbyeMs, this.#left);
    const end = await this.#group.end(this.#killGraceMs);
    this.#isOver = true;
    switch (end) {
      case "left":
        this.#log.warn({ pid: this.pid }, "could not end all processes of the server");
        break;
      case "unreaped":
        if (!toldOfUnreaped.has(this.#log)) this.#log.warn({ pid: this.pid }, UNREAPED);
        toldOfUnreaped.add(this.#log);
        await this.exited;
        break;
      case "gone":
        await this.exited;
    }
    for (const stream of this.#process.stdio) stream?.destroy();
  }
}

function startProblem({ command, cwd }: ChildOptions, code: string | undefined): string {
  if (cwd !== undefined) {
    const found = statSync(cwd, { throwIfNoEntry: false });
    if (found === undefined) return `cwd does not exist: ${cwd}`;
    if (!found.isDirectory()) return `cwd is not a directory: ${cwd}`;
  }
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return `command not found: ${command}`;
    case "EACCES":
      return `not executable: ${command}`;
    case "E2BIG":
      return `arguments and environment are too long for ${command}`;
    default:
      return `${command} does not start (${code})`;
  }
}
