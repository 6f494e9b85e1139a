import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** The processes of a group, zombies among them: `[pid, state, command]` each. */
export async function processesOf(group: number): Promise<string[][]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "pgid=,pid=,stat=,args="]);
  const rows = stdout.split("\n").map((row) => row.trim().split(/\s+/));
  return rows
    .filter(([pgid]) => pgid === String(group))
    .map(([, pid, stat, command]) => [pid, stat, command].map(String));
}
