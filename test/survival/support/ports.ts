import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** Below those that systems give to connections which go out: nobody gets one of these while its program is being restarted. */
const FIRST = 10_000;
const LAST = 32_000;
const TRIES = 100;

/** A port on the loopback interface that is free, and stays so between one program that listens there and the next. */
export async function lastingPort(): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const port = randomInt(FIRST, LAST);
    if (await isFree(port)) return port;
  }
  throw new Error(`${TRIES} ports from ${FIRST} to ${LAST} were taken`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
    return true;
  } catch {
    return false;
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}
