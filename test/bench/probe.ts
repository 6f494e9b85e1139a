import type { Program } from "../demo/programs.ts";

/** What a program says of itself. */
export interface Probe {
  /** Its own time on a processor up to now, in milliseconds. */
  cpuMs(): Promise<number>;
  /** After a collection, where there is something to collect. */
  memory(): Promise<Memory>;
}

/** In bytes. */
export interface Memory {
  readonly resident: number;
  /** Heap and buffers; absent for what is no node program. */
  readonly inUse?: number;
}

/**
 * Flags that make a node program answer questions: `time` with its CPU usage, `old` with the bytes in its space for objects that have
 * outlived two collections, any other with its memory after a collection.
 * They do not keep it alive.
 */
export const PROBED: readonly string[] = ["--expose-gc", "--import", probe()];

export function probeOf(program: Pick<Program, "ask">): Probe {
  return {
    cpuMs: async () => {
      const { user, system } = await program.ask<NodeJS.CpuUsage>("time");
      return (user + system) / 1_000;
    },
    memory: async () => {
      const { rss, heapUsed, external } = await program.ask<NodeJS.MemoryUsage>("memory");
      return { resident: rss, inUse: heapUsed + external };
    },
  };
}

function probe(): string {
  const old = "getHeapSpaceStatistics().find(s=>s.space_name==='old_space').space_used_size";
  const answer = `q=>q==='time'?process.cpuUsage():q==='old'?${old}:(gc(),gc(),process.memoryUsage())`;
  const source = `import{getHeapSpaceStatistics}from"node:v8";const a=${answer};process.on("message",q=>process.send({answer:a(q)}));process.channel.unref()`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}
