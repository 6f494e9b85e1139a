/** The built command line as a process of its own, for tests that kill it, and for programs that are pointed at it. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { onTestFinished } from "vitest";

export interface GatewayProcess {
  /** The first route that it said it serves. */
  readonly url: URL;
  /** Every route that it had said by the time it was ready. */
  readonly urls: readonly URL[];
  readonly pid: number;
  readonly child: ChildProcess;
  /** What it has said so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** Settles when it has ended, whatever ended it. */
  readonly exited: Promise<Exit>;
  /** Sends a signal, SIGTERM unless given, and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<Exit>;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface GatewayProcessOptions {
  /** Where to register the clean-up: the running test unless given; a suite that shares one collects it for `afterAll`. */
  readonly atEnd?: (cleanUp: () => Promise<void>) => void;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** For node itself, before the script. With any, messages can be sent to the process. */
  readonly nodeFlags?: readonly string[];
  /** How many routes it has to announce before it counts as ready; 1 unless given. */
  readonly routes?: number;
}

const CLI = resolve(import.meta.dirname, "../../dist/cli.js");
const PATIENCE_MS = 120_000;
/** `reports  http://127.0.0.1:8080/reports/mcp → …` */
const ROUTE = /(http:\/\/\S+) →/g;

/**
 * Starts `mcp-taskgate` with these arguments and settles when it has announced its routes.
 * Rejects with what it wrote to stderr when it ends before that. It is killed when the test ends.
 */
export async function startGatewayProcess(
  args: readonly string[],
  { atEnd = onTestFinished, env = {}, cwd, nodeFlags = [], routes = 1 }: GatewayProcessOptions = {},
): Promise<GatewayProcess> {
  if (!existsSync(CLI)) throw new Error(`${CLI} is missing; npm run build makes it`);
  const child = spawn(process.execPath, [...nodeFlags, CLI, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe", ...(nodeFlags.length === 0 ? [] : (["ipc"] as const))],
    ...(cwd === undefined ? {} : { cwd }),
  });
  const exited = once(child, "exit").then(([code, signal]): Exit => ({ code, signal }));
  atEnd(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      said[name] += text;
    });
  }
  const urls = await announced(child, said, routes);
  return {
    url: urls[0] as URL,
    urls,
    pid: child.pid as number,
    child,
    get stdout() {
      return said.stdout;
    },
    get stderr() {
      return said.stderr;
    },
    exited,
    kill: (signal = "SIGTERM") => {
      child.kill(signal);
      return exited;
    },
  };
}

function announced(
  child: ChildProcess,
  said: { readonly stdout: string; readonly stderr: string },
  routes: number,
): Promise<URL[]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => fail(`was not ready after ${PATIENCE_MS / 1_000} s`), PATIENCE_MS);
    const fail = (what: string): void => {
      clearTimeout(timer);
      reject(new Error(`mcp-taskgate ${what}\n${said.stdout}${said.stderr}`));
    };
    // "close" rather than "exit", so that all it had to say is there.
    child.once("close", (code, signal) => fail(`ended with ${signal ?? code} before it was ready`));
    child.stdout?.on("data", () => {
      const urls = [...said.stdout.matchAll(ROUTE)].map(([, url]) => new URL(url as string));
      if (urls.length < routes) return;
      clearTimeout(timer);
      resolve(urls);
    });
  });
}
