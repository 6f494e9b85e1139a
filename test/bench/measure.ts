import type { Request } from "./requests.ts";

/** What is asked of a server, whatever carries it. */
export interface Load {
  /** Requests in flight. */
  readonly connections: number;
  /** Sent in turn, each connection those that fall to it; there are at least as many as connections. */
  readonly requests: readonly Request[];
  /** How long to go on, and after how many requests to stop at the latest. */
  readonly forMs: number;
  readonly atMost?: number;
  /** What every response has to contain; anything else makes the job fail. */
  readonly expected: string;
  /** `event`: each request has a connection of its own, which is left as soon as the first event is there. */
  readonly until?: "end" | "event";
}

/** What carries requests to the server, each as the bytes that `encode` makes of it. */
export interface Way {
  encode(request: Request): Buffer;
  connect(): Promise<Carrier>;
}

/** Carries one request at a time. */
export interface Carrier {
  /** Sends a request, and gives the response, whatever of it was there to wait for. */
  send(bytes: Buffer): Promise<string>;
  close(): void;
}

export interface Measured {
  readonly count: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** How much of a core the load client itself was busy, 0 to 1. Near 1, it is the client that was measured. */
  readonly clientShare: number;
  /** The ids of tasks that were named in responses, the newest last. */
  readonly taskIds: readonly string[];
  /** One response, head included. */
  readonly sample: string;
}

const TASK_ID = /"taskId":"([^"]+)"/;
const MAX_TASK_IDS = 20_000;

/** @throws when a response is not as expected: with the response */
export async function measure(load: Load, { encode, connect }: Way): Promise<Measured> {
  const { connections, requests, forMs, atMost, expected, until = "end" } = load;
  const bytes = requests.map(encode);
  const durations: number[] = [];
  const taskIds: string[] = [];
  let sample = "";
  let left = atMost ?? Number.POSITIVE_INFINITY;
  const open = await Promise.all(Array.from({ length: connections }, connect));
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  const endsAt = startedAt + forMs;
  const work = open.map(async (connected, first) => {
    let connection = connected;
    for (let turn = first; left > 0; turn += connections) {
      left -= 1;
      const sentAt = performance.now();
      if (sentAt >= endsAt) return;
      sample = await connection.send(bytes[turn % bytes.length] ?? Buffer.alloc(0));
      durations.push(performance.now() - sentAt);
      if (until === "event") {
        connection.close();
        connection = open[first] = await connect();
      }
      if (!sample.includes(expected)) throw new Error(`expected ${expected} in:\n${sample}`);
      const taskId = TASK_ID.exec(sample)?.[1];
      if (taskId !== undefined && taskIds.length < MAX_TASK_IDS) taskIds.push(taskId);
    }
  });
  await Promise.all(work).finally(() => {
    for (const connection of open) connection.close();
  });
  const seconds = (performance.now() - startedAt) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  durations.sort((a, b) => a - b);
  const quantile = (q: number) => durations[Math.floor(q * durations.length)] ?? Number.NaN;
  return {
    count: durations.length,
    perSecond: durations.length / seconds,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    clientShare: (user + system) / 1_000_000 / seconds,
    taskIds: [...new Set(taskIds)],
    sample,
  };
}
