/** A release of server-everything as a process of its own. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { onTestFinished } from "vitest";
import { type EverythingRelease, type EverythingTransport, everything } from "../peers/peers.ts";

const PATIENCE_MS = 120_000;

/**
 * Starts a release of server-everything over HTTP, and gives the URL of its endpoint once it listens.
 * It is killed when the test ends.
 */
export async function startEverything(
  release: EverythingRelease,
  transport: Exclude<EverythingTransport, "stdio"> = "streamableHttp",
): Promise<URL> {
  const port = await freePort();
  const child = spawn(process.execPath, [everything(release, transport)], {
    env: { ...process.env, PORT: String(port) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  await new Promise<void>((resolve, reject) => {
    let said = "";
    const fail = (what: string): void => reject(new Error(`server-everything ${release} ${what}\n${said}`));
    const timer = setTimeout(() => fail("does not listen"), PATIENCE_MS);
    child.once("close", () => {
      clearTimeout(timer);
      fail("has ended");
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        // Some say it on stdout, some on stderr, and each in other words.
        if (!said.includes(`on port ${port}`)) return;
        clearTimeout(timer);
        resolve();
      });
    }
  });
  return new URL(`http://127.0.0.1:${port}/${transport === "sse" ? "sse" : "mcp"}`);
}

/** A port that was free a moment ago: these servers do not say which one they were given. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
