import { execFile } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { FOLDER } from "./packages.ts";

const LOOK_EVERY_MS = 200;
const MAX_LOOKS = 25;

/** The command lines of servers that still run after what started them has ended, and had some time to follow it. */
export async function leftBehind(): Promise<string[]> {
  for (let look = 1; ; look += 1) {
    const running = await servers();
    if (running.length === 0 || look === MAX_LOOKS) return running;
    await sleep(LOOK_EVERY_MS);
  }
}

async function servers(): Promise<string[]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "pid=,args="]);
  return stdout.split("\n").filter((line) => line.includes(join(FOLDER, "node_modules")));
}
