import { readdir, readlink } from "node:fs/promises";
import type { Replica } from "../survival/support/replica.ts";

/** What one gateway holds at one moment. Memory in bytes, the rest counted. */
export interface Holdings {
  /** Heap and buffers, after a collection. */
  readonly heap: number;
  readonly resident: number;
  readonly files: number;
  readonly sockets: number;
  /** Timers that keep the process alive. */
  readonly timers: number;
  /** Everything else that does, in the words of `process.getActiveResourcesInfo`. */
  readonly handles: number;
}

interface Answer {
  readonly heap: number;
  readonly resident: number;
  readonly resources: readonly string[];
}

/** Flags that make a node program say what it holds when it is asked, whatever the question. They do not keep it alive. */
export const PROBED: readonly string[] = ["--expose-gc", "--import", probe()];

/** Asks a replica that was started with `PROBED`, and looks at its open files. */
export async function holdings(replica: Pick<Replica, "ask" | "pid">): Promise<Holdings> {
  const { heap, resident, resources } = await replica.ask<Answer>("holdings");
  const folder = `/proc/${replica.pid}/fd`;
  const files = await readdir(folder);
  // One may be closed between the two looks.
  const targets = await Promise.all(files.map((file) => readlink(`${folder}/${file}`).catch(() => "")));
  const timers = resources.filter((name) => name === "Timeout").length;
  return {
    heap,
    resident,
    files: files.length,
    sockets: targets.filter((target) => target.startsWith("socket:")).length,
    timers,
    handles: resources.length - timers,
  };
}

function probe(): string {
  const answer =
    "()=>{gc();gc();const m=process.memoryUsage();" +
    "return{heap:m.heapUsed+m.external,resident:m.rss,resources:process.getActiveResourcesInfo()}}";
  const source = `const a=${answer};process.on("message",()=>process.send({answer:a()}));process.channel.unref()`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}
