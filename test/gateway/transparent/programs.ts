/** The proxies as programs, for what would end the process of the tests. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { onTestFinished } from "vitest";

export interface ProxyProgram {
  readonly url: URL;
  /** What it wrote to stderr so far. */
  readonly stderr: string;
  /** Settles with the exit code when it has ended. */
  readonly exited: Promise<number | null>;
}

export interface ProxyProgramOptions {
  /** The node that runs it, ours unless given; it has to know TypeScript when it is not. */
  readonly node?: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts one, and gives it once it listens; rejects with what it said when it ends before. */
export async function startProxyProgram(
  name: "bare" | "proxied",
  target: URL,
  { node, flags = [], env = {} }: ProxyProgramOptions = {},
): Promise<ProxyProgram> {
  const typescript = node === undefined ? ["--import", import.meta.resolve("tsx")] : [];
  const script = resolve(import.meta.dirname, `${name}.ts`);
  const child = spawn(node ?? process.execPath, [...flags, ...typescript, script, target.href], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "", ...env },
  });
  const exited = once(child, "close").then(([code]): number | null => code);
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const said = once(child.stdout.setEncoding("utf8"), "data").then(([line]): string => line);
  const first = await Promise.race([said, exited]);
  if (typeof first !== "string") throw new Error(`${name} ended with ${first}\n${stderr}`);
  return {
    url: new URL(first.trim()),
    get stderr() {
      return stderr;
    },
    exited,
  };
}
