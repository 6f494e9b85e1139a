import { readFile } from "node:fs/promises";

/** How many files and connections this process may have open; `undefined` when the system does not say or sets no limit. */
export async function maxDescriptors(): Promise<number | undefined> {
  const limits = await readFile("/proc/self/limits", "utf8").catch(() => "");
  return readMaxDescriptors(limits);
}

/** The soft limit in a text in the format of Linux's `/proc/self/limits` (proc(5)). */
export function readMaxDescriptors(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)\s/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

/** A warning for the operator if the limit is too low for so many connections; `undefined` if not. */
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
