import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** The processes of a group, zombies among them: `[pid, state, command]` each. */
export async function processesOf(group: number): Promise<string[][]> {
  const rows = await processes("pgid");
  return rows
    .filter(([pgid]) => pgid === String(group))
    .map(([, pid, stat, command]) => [pid, stat, command].map(String));
}

/** The ids of the processes that were started with an argument. A zombie has none any more. */
export async function processesWith(argument: string): Promise<number[]> {
  const rows = await processes("ppid");
  return rows.filter((row) => row.includes(argument)).map(([, pid]) => Number(pid));
}

/** The ids of the children of a process, of ours unless given, zombies among them. */
export async function children(of: number = process.pid): Promise<number[]> {
  const rows = await processes("ppid");
  return rows
    .filter(([ppid, , , command]) => ppid === String(of) && command !== "ps")
    .map(([, pid]) => Number(pid));
}

/** Those of the processes that are still there. */
export async function remaining(pids: readonly number[]): Promise<number[]> {
  const rows = await processes("ppid");
  return rows.map(([, pid]) => Number(pid)).filter((pid) => pids.includes(pid));
}

/** One column, and the id, the state and the words of the command line. */
async function processes(column: "pgid" | "ppid"): Promise<string[][]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", `${column}=,pid=,stat=,args=`]);
  return stdout.split("\n").map((row) => row.trim().split(/\s+/));
}
