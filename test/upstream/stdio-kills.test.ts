/** Five hundred calls over stdio while their processes are killed at random: nothing is lost, crossed, repeated or left. */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, onTestFinished, test } from "vitest";
import { gatewayFor } from "../support/gateway.ts";
import type { Answer } from "../support/modern-client.ts";
import { children, processesWith } from "../support/stdio-servers/processes.ts";
import { script } from "../support/stdio-servers/scripts.ts";

const CALLS = 500;
const MAX_SESSIONS = 8;
/** How many more calls than processes are under way, so that some always wait for one. */
const CLIENTS = 24;
const CALLS_A_KILL = 8;
const MAX_CALL_MS = 20;
/** Garbage of one half may be left at the end of the other. */
const NOISE_BYTES = 16_000_000;

test(`${CALLS} calls, ${MAX_SESSIONS} processes, and one of them killed after every ${CALLS_A_KILL} calls`, async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  console.log(`random kills: SEED=${seed}`);
  const random = mulberry32(seed);
  const directory = await mkdtemp(join(tmpdir(), "taskgate-kills-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const log = join(directory, "calls");
  const { command, args } = script("counts", log);
  const before = resources();
  const childrenBefore = await children();

  const upstream = { command, args, maxSessions: MAX_SESSIONS };
  const { client, gateway } = await gatewayFor({ upstream, policy: { waitForMs: 60_000 } });
  const user = client();
  const answers = new Map<string, Answer>();
  let kills = 0;

  /** Kills a process that has begun a call, if one of those is still there. */
  const killOne = async (): Promise<void> => {
    const running = await processesWith(log);
    expect(running.length).toBeLessThanOrEqual(MAX_SESSIONS);
    const begun = new Set((await calls(log)).map(({ pid }) => pid));
    const victims = running.filter((pid) => begun.has(pid));
    const victim = victims[Math.floor(random() * victims.length)];
    if (victim === undefined) return;
    kills += killed(victim);
  };
  const tokens = Array.from({ length: CALLS }, (_, n) => `token-${n}-${random()}`);
  const callAll = async (some: string[]): Promise<void> => {
    await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        for (let token = some.shift(); token !== undefined; token = some.shift()) {
          const params = { name: "echo", arguments: { token, ms: random() * MAX_CALL_MS } };
          answers.set(token, await user.send("tools/call", params));
          if (answers.size % CALLS_A_KILL === 0) await killOne();
        }
      }),
    );
  };
  await callAll(tokens.slice(0, CALLS / 2));
  const heapMidway = collectedHeap();
  await callAll(tokens.slice(CALLS / 2));
  const growth = collectedHeap() - heapMidway;

  const runs = new Map<string, number>();
  for (const { token } of await calls(log)) runs.set(token, (runs.get(token) ?? 0) + 1);
  const failed = tokens.filter((token) => answers.get(token)?.message.error !== undefined);
  const unexpected = tokens.flatMap((token) => {
    const { result, error } = answers.get(token)?.message ?? {};
    const isOwn = result?.content?.[0]?.text === token && runs.get(token) === 1;
    const isKill =
      error?.message.startsWith("The server was killed by SIGKILL") && (runs.get(token) ?? 0) <= 1;
    return isOwn || isKill ? [] : [{ token, runs: runs.get(token), result, error }];
  });
  expect(unexpected).toEqual([]);
  // Otherwise it was no test: most calls have survived, and some have not.
  expect(kills).toBeGreaterThan(CALLS / CALLS_A_KILL / 4);
  expect(failed.length).toBeGreaterThan(0);
  expect(failed.length).toBeLessThanOrEqual(kills);
  expect(growth).toBeLessThan(NOISE_BYTES);

  await gateway.close();
  expect(await processesWith(log)).toEqual([]);
  expect(await children()).toEqual(childrenBefore);
  await expect.poll(resources).toEqual(before);
});

/** The calls that processes have begun, in order. */
async function calls(log: string): Promise<{ token: string; pid: number }[]> {
  const text = await readFile(log, "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => {
      const [token = "", pid] = line.split(" ");
      return { token, pid: Number(pid) };
    });
}

/** Whether it was still there to be killed, as a number. */
function killed(pid: number): 0 | 1 {
  try {
    process.kill(pid, "SIGKILL");
    return 1;
  } catch {
    return 0;
  }
}

/** What of this process belongs to a gateway and its processes, timers among it; connections are the client's as well. */
function resources(): Record<string, number> {
  const found = process.getActiveResourcesInfo();
  const kinds = ["ProcessWrap", "PipeWrap", "TCPServerWrap", "Timeout"];
  return Object.fromEntries(kinds.map((kind) => [kind, found.filter((each) => each === kind).length]));
}

/** What is left on the heap when everything has been collected that can be. */
function collectedHeap(): number {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  collect();
  return process.memoryUsage().heapUsed;
}

/** Numbers from 0 to 1 that are the same for the same seed. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
