import { readFile } from "node:fs/promises";
import type { RedisServer } from "../support/redis.ts";

/** What /proc counts time in (USER_HZ), on every Linux that this runs on. */
const MS_PER_TICK = 10;
/** What a look at a Redis costs itself. */
const OF_THE_LOOK = new Set([
  "info",
  "hello",
  "client|setinfo",
  "client|setname",
  "cluster|info",
  "config|get",
]);

/** Time on processors up to now, user and system, in milliseconds. */
export async function cpuMs(pids: readonly number[]): Promise<number> {
  const each = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, "utf8")));
  // The name in brackets may have blanks (proc(5)).
  const fields = each.map((stat) => stat.slice(stat.lastIndexOf(")") + 2).split(" "));
  return fields.reduce((sum, field) => sum + MS_PER_TICK * (Number(field[11]) + Number(field[12])), 0);
}

/** Resident memory of all together, in bytes. */
export async function residentBytes(pids: readonly number[]): Promise<number> {
  const each = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/status`, "utf8")));
  return each.reduce((sum, status) => sum + 1_024 * Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]), 0);
}

/** What the nodes have been asked to do up to now, by the name of the command, and the memory of what they hold, in bytes. */
export async function redisLoad(nodes: readonly RedisServer[]) {
  const commands = new Map<string, number>();
  let bytes = 0;
  let cpu = 0;
  for (const node of nodes) {
    const info = String(await node.command("INFO", "everything"));
    for (const [, name = "", calls] of info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm))
      if (!OF_THE_LOOK.has(name)) commands.set(name, (commands.get(name) ?? 0) + Number(calls));
    bytes += Number(/^used_memory:(\d+)/m.exec(info)?.[1]);
    cpu += 1_000 * Number(/^used_cpu_user:([\d.]+)/m.exec(info)?.[1]);
    cpu += 1_000 * Number(/^used_cpu_sys:([\d.]+)/m.exec(info)?.[1]);
  }
  return { commands, bytes, cpuMs: cpu };
}
