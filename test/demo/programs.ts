import { type ChildProcess, type Serializable, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { resolve } from "node:path";

/** The gateway as people run it; built by every npm script that comes here. */
export const GATEWAY_COMMAND = resolve(import.meta.dirname, "../../dist/cli.js");

export interface ProgramOptions {
  /** What it prints when it is ready, on either output. */
  readonly ready: RegExp;
  readonly env?: Readonly<Record<string, string>>;
  /** What runs the script; the node that runs us unless given. */
  readonly node?: string;
  /** For node itself, before the script. */
  readonly nodeFlags?: readonly string[];
}

export interface Program {
  readonly pid: number;
  /** What `ready` matched. */
  readonly ready: RegExpExecArray;
  /** Resolves when it has ended by itself or was stopped. */
  readonly ended: Promise<void>;
  /** What it has printed last, on either output. */
  readonly said: string;
  /** Sends the program a message, and gives its answer: `{ answer }`, or `{ fault }`, which is thrown. One at a time. */
  ask<A>(question: unknown): Promise<A>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const READY_TIMEOUT_MS = 30_000;
/** As much of what a program says as is worth showing when it fails. */
const MAX_OUTPUT_CHARACTERS = 4_000;
const STOP_TIMEOUT_MS = 5_000;

/** Node programs that run for a while. However this process ends, they end with it. */
export class Programs {
  readonly #running = new Set<ChildProcess>();
  readonly #killAll = () => {
    for (const child of this.#running) child.kill("SIGKILL");
  };

  constructor() {
    process.once("exit", this.#killAll);
  }

  /**
   * Starts a script with node, and waits until it is ready.
   * @throws when it ends before, or is not ready within 30 s: with what it printed
   */
  async start(name: string, args: readonly string[], options: ProgramOptions): Promise<Program> {
    const child = spawn(options.node ?? process.execPath, [...(options.nodeFlags ?? []), ...args], {
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.#running.add(child);
    const ended = once(child, "close").then(() => void this.#running.delete(child));
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        said = (said + chunk).slice(-MAX_OUTPUT_CHARACTERS);
      });
    const ready = await readiness(name, child, options.ready).catch(async (error: unknown) => {
      child.kill("SIGKILL");
      await ended;
      throw error;
    });
    return {
      pid: child.pid ?? 0,
      ready,
      ended,
      get said() {
        return said;
      },
      ask: (question) => ask(name, child, question),
      stop: (signal) => stop(child, ended, signal),
    };
  }

  /** Ends what still runs, those that were started last first. */
  async stop(): Promise<void> {
    process.removeListener("exit", this.#killAll);
    for (const child of [...this.#running].reverse()) await stop(child, once(child, "close"));
  }
}

/** A port of loopback that nobody listens on at the moment, for programs that cannot choose one and say which. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

/** As many of them, each another one. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

function readiness(name: string, child: ChildProcess, expected: RegExp): Promise<RegExpExecArray> {
  return new Promise((settle, reject) => {
    let output = "";
    const fail = (what: string) => reject(new Error(`${name} ${what}:\n${output.trim()}`));
    const timer = setTimeout(
      () => fail(`was not ready within ${READY_TIMEOUT_MS / 1_000} s`),
      READY_TIMEOUT_MS,
    );
    const listen = (chunk: Buffer) => {
      output = (output + chunk).slice(-MAX_OUTPUT_CHARACTERS);
      const match = expected.exec(output);
      if (match === null) return;
      clearTimeout(timer);
      settle(match);
      for (const stream of [child.stdout, child.stderr]) stream?.off("data", listen);
    };
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", listen);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      fail(`ended (${signal ?? code}) before it was ready`);
    });
  });
}

async function ask<A>(name: string, child: ChildProcess, question: unknown): Promise<A> {
  const asked = new AbortController();
  const { signal } = asked;
  try {
    const answered = once(child, "message", { signal });
    const ended = once(child, "close", { signal }).then(() => {
      throw new Error(`${name} ended before it answered`);
    });
    ended.catch(() => {});
    child.send(question as Serializable);
    const [{ answer, fault }] = await Promise.race([answered, ended]);
    if (fault !== undefined) throw new Error(`${name}: ${fault}`);
    return answer;
  } finally {
    asked.abort();
  }
}

async function stop(child: ChildProcess, ended: Promise<unknown>, signal: NodeJS.Signals = "SIGTERM") {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  child.kill(signal);
  await ended;
  clearTimeout(timer);
}
