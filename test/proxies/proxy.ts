/** One reverse proxy, in a folder of its own, before gateways on loopback. */

import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { lastingPort } from "../survival/support/ports.ts";
import { filled, type Launch, type Program } from "./programs.ts";

export interface Proxy {
  readonly origin: URL;
  /** The last that it said. */
  readonly said: string;
  /** Ends it and all its processes, and removes its folder. */
  stop(): Promise<void>;
}

/** Where Debian puts servers is on the PATH of few. */
const PATH = [process.env.PATH ?? "", "/usr/sbin", "/usr/local/sbin"].join(delimiter);
const READY_MS = 30_000;
const LOOK_EVERY_MS = 50;
const STOP_MS = 5_000;
const MAX_SAID = 4_000;

/** The version that is installed. `undefined`: none is. */
export function installedVersion({ executable, version }: Program): string | undefined {
  const { stdout, stderr, error } = spawnSync(executable, version, {
    encoding: "utf8",
    env: { ...process.env, PATH },
  });
  return error === undefined ? /\d+(\.\d+)+/.exec(`${stdout}${stderr}`)?.[0] : undefined;
}

/** Starts it, and settles when it takes connections. Rejects with what it said when it does not take its file, or ends. Whoever starts it stops it. */
export async function startProxy(program: Program, gateways: readonly number[]): Promise<Proxy> {
  const folder = await mkdtemp(join(tmpdir(), `taskgate-${program.name}-`));
  try {
    // Some give up the rights of root, and write here all the same.
    await chmod(folder, 0o777);
    const port = await lastingPort();
    const launch = await written(program, { folder, gateways, port });
    await checked(program, folder, launch);
    return await started(program, { folder, port, launch });
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

interface Place {
  readonly folder: string;
  readonly gateways: readonly number[];
  readonly port: number;
}

async function written(program: Program, { folder, gateways, port }: Place): Promise<Launch> {
  const file = join(folder, program.file);
  const launch = program.launch({ folder, file, port });
  await writeFile(file, await filled(program, gateways, port));
  for (const [name, text] of Object.entries(launch.files ?? {})) await writeFile(join(folder, name), text);
  return launch;
}

async function checked({ executable, file }: Program, folder: string, { check }: Launch): Promise<void> {
  // Rejects with what it says.
  await promisify(execFile)(executable, [...check], optionsIn(folder)).catch((cause) => {
    throw new Error(
      `${executable} does not take config/proxies/${file}: ${cause.message}${cause.stderr ?? ""}`,
    );
  });
}

async function started(
  { executable }: Program,
  { folder, port, launch }: Omit<Place, "gateways"> & { readonly launch: Launch },
): Promise<Proxy> {
  // A group of its own, so that its workers end with it.
  const child = spawn(executable, launch.run, {
    ...optionsIn(folder),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      said = `${said}${text}`.slice(-MAX_SAID);
    });
  }
  const killGroup = () => signalled(child, "SIGKILL");
  process.once("exit", killGroup);
  const ended = new Promise<void>((settle) => {
    child.once("close", () => settle());
    child.once("error", () => settle());
  });
  const stop = async () => {
    const timer = setTimeout(killGroup, STOP_MS);
    signalled(child, "SIGTERM");
    await ended;
    clearTimeout(timer);
    killGroup();
    process.removeListener("exit", killGroup);
    await rm(folder, { recursive: true, force: true });
  };
  const deadline = performance.now() + READY_MS;
  while (!(await takesConnections(port))) {
    const isOver = child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
    if (isOver || performance.now() > deadline) {
      await stop();
      throw new Error(`${executable} ${isOver ? "ended" : "was not ready"}:\n${said}`);
    }
    await new Promise((settle) => setTimeout(settle, LOOK_EVERY_MS));
  }
  return {
    origin: new URL(`http://127.0.0.1:${port}`),
    get said() {
      return said;
    },
    stop,
  };
}

function optionsIn(folder: string) {
  // Caddy keeps what it knows at home.
  const env = { ...process.env, PATH, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder };
  return { cwd: folder, encoding: "utf8", env } as const;
}

function signalled(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // All of them have ended.
  }
}

async function takesConnections(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
