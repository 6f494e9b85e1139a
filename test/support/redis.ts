/** A real Redis of one's own, for whoever has to see what becomes of a store when its server goes. Works without a test runner. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@keyv/redis";
import { freePort } from "../demo/programs.ts";
import { missingPrograms } from "./required-programs.ts";

export interface RedisServer {
  /** `redis://127.0.0.1:PORT`, with the password if it has one. */
  readonly url: string;
  readonly port: number;
  readonly folder: string;
  /** Ends it with SIGKILL, and waits for its end. */
  kill(): Promise<void>;
  /** Starts it again after `kill`: same port, same folder. Settles when it is ready. */
  restart(): Promise<void>;
  /** Has it hang (SIGSTOP): connections stay open, and nothing is answered. */
  pause(): Promise<void>;
  resume(): void;
  /** Sends one command on a connection of its own. Rejects when the server does. */
  command(...args: string[]): Promise<unknown>;
  /** Ends it and removes its folder. Twice is once. */
  stop(): Promise<void>;
}

export interface RedisServerOptions {
  /**
   * Settings of `redis.conf` and their values, a list where there are several, beside or instead of those that it has anyway: every write on the disk before it
   * is acknowledged (`appendonly yes`, `appendfsync always`), `maxmemory-policy noeviction`, no snapshots.
   */
  readonly settings?: Readonly<Record<string, string | readonly string[]>>;
  readonly password?: string;
  /** Which setting says the port: `tls-port` for a server that speaks nothing but TLS. `command` is of no use then. */
  readonly portSetting?: "port" | "tls-port";
  /** A free one unless given. */
  readonly port?: number;
  /** What a sentinel is to watch, as the lines of its file. It has none of the settings above then. */
  readonly sentinel?: readonly string[];
}

const READY = /Ready to accept connections|Sentinel ID is/;
const PATIENCE_MS = 120_000;
const PORT_TRIES = 5;

/** Why there can be no Redis here; `undefined` when there can. */
export function redisMissing(): string | undefined {
  return missingPrograms(["redis-server"]);
}

/** Starts a Redis in a folder of its own below the system's temporary one; whoever starts it stops it. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), "taskgate-redis-"));
  try {
    for (let attempt = 1; ; attempt++) {
      const port = options.port ?? (await freePort());
      try {
        const child = await startProcess(folder, port, options);
        return serverOf(child, { folder, port, options });
      } catch (error) {
        // Somebody else may have taken the port in between.
        const isTaken = error instanceof Error && /Address already in use/.test(error.message);
        if (!isTaken || options.port !== undefined || attempt === PORT_TRIES) throw error;
      }
    }
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

interface Place {
  readonly folder: string;
  readonly port: number;
  readonly options: RedisServerOptions;
}

function serverOf(first: ChildProcess, { folder, port, options }: Place): RedisServer {
  let child = first;
  const url = `redis://${options.password ? `:${options.password}@` : ""}127.0.0.1:${port}`;
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  return {
    url,
    port,
    folder,
    kill: end,
    restart: async () => {
      await end();
      child = await startProcess(folder, port, options);
    },
    pause: async () => {
      child.kill("SIGSTOP");
      await untilStopped(child.pid as number);
    },
    resume: () => void child.kill("SIGCONT"),
    command: (...args) => command(url, args),
    stop: async () => {
      await end();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startProcess(
  folder: string,
  port: number,
  { settings = {}, password, portSetting = "port", sentinel }: RedisServerOptions,
): Promise<ChildProcess> {
  const all: Record<string, string | readonly string[]> = {
    bind: "127.0.0.1",
    port: "0",
    [portSetting]: String(port),
    dir: folder,
    save: "",
    appendonly: "yes",
    appendfsync: "always",
    "maxmemory-policy": "noeviction",
    ...(password === undefined ? {} : { requirepass: password }),
    ...settings,
  };
  const file = join(folder, "sentinel.conf");
  if (sentinel !== undefined) {
    const lines = [`port ${port}`, `dir ${folder}`, "bind 127.0.0.1", ...sentinel];
    await writeFile(file, lines.join("\n"), { flag: "wx" }).catch(() => {});
  }
  const flags = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value].flat());
  const args = sentinel === undefined ? flags : [file, "--sentinel"];
  const child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "pipe"] });
  try {
    await ready(child);
    return child;
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    let isReady = false;
    const fail = (what: string) => {
      clearTimeout(timer);
      reject(new Error(`redis-server ${what}\n${said}`));
    };
    const timer = setTimeout(() => fail(`was not ready after ${PATIENCE_MS / 1_000} s`), PATIENCE_MS);
    child.once("error", (error) => fail(error.message));
    child.once("close", (code, signal) => fail(`ended with ${signal ?? code} before it was ready`));
    for (const stream of [child.stdout, child.stderr]) {
      // Read to the end, so that it never waits for somebody to read.
      stream?.setEncoding("utf8").on("data", (text: string) => {
        if (isReady) return;
        said += text;
        if (!READY.test(said)) return;
        isReady = true;
        clearTimeout(timer);
        resolve();
      });
    }
  });
}

/** A signal is on its way for a moment; one more command could be answered meanwhile. */
async function untilStopped(pid: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!/^\d+ \(.*\) [Tt] /.test(await readFile(`/proc/${pid}/stat`, "utf8"))) {
    if (performance.now() > deadline) throw new Error(`process ${pid} does not stop`);
  }
}

async function command(url: string, args: readonly string[]): Promise<unknown> {
  const client = createClient({ url, socket: { reconnectStrategy: false, connectTimeout: PATIENCE_MS } });
  // The command rejects as well.
  client.on("error", () => {});
  await client.connect();
  try {
    return await client.sendCommand([...args]);
  } finally {
    client.destroy();
  }
}
