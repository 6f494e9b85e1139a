/** The command line as a process of its own, from the build where there is one. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { Conditions } from "../support/conditions.ts";

const BUILT = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const SOURCE = fileURLToPath(new URL("../../src/cli.ts", import.meta.url));
const TSX = import.meta.resolve("tsx");
export const COMMAND = existsSync(BUILT) ? [BUILT] : ["--import", TSX, SOURCE];

export interface Finished {
  /** The exit code, or the name of the signal that ended the process. */
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. Nothing but `env` is in its environment. */
export async function run(args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
  return await launch(args, env).finished;
}

/** Starts a command that goes on; it is killed when the test ends. `input` is what its user types. */
export function launch(args: readonly string[], env: Record<string, string> = {}, input?: string) {
  const child = spawn(process.execPath, [...COMMAND, ...args], { env, stdio: "pipe" });
  child.stdin.on("error", () => {});
  if (input === undefined) child.stdin.end();
  else child.stdin.write(input);
  onTestFinished(() => void child.kill("SIGKILL"));
  const output = { stdout: "", stderr: "" };
  const told = new Conditions(() => `it said ${JSON.stringify(output)}`);
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
      told.check();
    });
  }
  return {
    signal: (signal: NodeJS.Signals) => child.kill(signal),
    /** Reads nothing more of standard output, as `head` does. */
    closeOutput: () => child.stdout.destroy(),
    /** What the first group of the pattern matches in standard output, as soon as it does. */
    printed: (pattern: RegExp) => told.found(() => pattern.exec(output.stdout)?.[1], String(pattern)),
    /** Settles when this is on standard error. */
    said: (text: string) => told.found(() => output.stderr.includes(text) || undefined, text),
    finished: finish(child, output),
  };
}

/** A file with this text in a directory that is removed when the test ends. */
export async function fileWith(name: string, text: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "taskgate-cli-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, name);
  await writeFile(file, text);
  return file;
}

async function finish(child: ChildProcess, output: Omit<Finished, "code">): Promise<Finished> {
  const [code, signal] = await once(child, "close");
  return { ...output, code: code ?? signal };
}
