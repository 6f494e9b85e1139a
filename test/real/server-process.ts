/** A foreign server, as it was published, as a process of its own. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import type { AtEnd } from "./in-front-of.ts";

const PATIENCE_MS = 120_000;
const ANY_PORT = new URL("any-port.mjs", import.meta.url).href;

/**
 * Starts a server with the node that runs us, and gives the URL of its endpoint once it listens. It is killed at the end.
 * Rejects with what it said when it ends before.
 */
export async function startServerProcess(script: string, atEnd: AtEnd): Promise<URL> {
  const child = spawn(process.execPath, ["--import", ANY_PORT, script], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const ended = once(child, "close");
  atEnd(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-4_000);
    });
  }
  const port = await new Promise<number>((resolve, reject) => {
    const fail = (what: string) => reject(new Error(`${script} ${what}\n${said}`));
    const timer = setTimeout(() => fail(`does not listen after ${PATIENCE_MS / 1_000} s`), PATIENCE_MS);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      fail(`has ended with ${signal ?? code}`);
    });
    child.once("message", (message) => {
      clearTimeout(timer);
      resolve((message as { port: number }).port);
    });
  });
  return new URL(`http://127.0.0.1:${port}/mcp`);
}
