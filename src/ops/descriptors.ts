import { readFile } from "node:fs/promises";

/** How many files, connections among them, this process may have open; `undefined` where the system does not say, or sets no limit. */
export async function maxDescriptors(): Promise<number | undefined> {
  const limits = await readFile("/proc/self/limits", "utf8").catch(() => "");
  return readMaxDescriptors(limits);
}

/** The soft limit in a text such as Linux has in `/proc/self/limits` (proc(5)). */
export function readMaxDescriptors(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)\s/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

/** What an operator should know of a limit that is too low for so many connections; `undefined`: nothing. */
export function descriptorWarning(
  descriptors: number | undefined,
  maxConnections: number,
): string | undefined {
  if (descriptors === undefined || descriptors >= maxConnections) return undefined;
  return (
    `limits.maxConnections is ${maxConnections}, but this process may have ${descriptors} files open (ulimit -n), and servers and the ` +
    "store need some of them: raise that limit, or lower limits.maxConnections"
  );
}
