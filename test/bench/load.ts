/** The client that makes the load: a process of its own, which does the jobs it is sent one after the other. */

import { answerQuestions } from "./answers.ts";
import { Connection, encode } from "./connection.ts";
import type { Request } from "./requests.ts";

export interface Job {
  readonly port: number;
  readonly path: string;
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

answerQuestions((job: Job) => run(job));
console.log("ready");

async function run(job: Job): Promise<Measured> {
  const { port, path, connections, requests, forMs, atMost, expected, until = "end" } = job;
  const bytes = requests.map((request) => encode(port, path, request));
  const durations: number[] = [];
  const taskIds: string[] = [];
  let sample = "";
  let left = atMost ?? Number.POSITIVE_INFINITY;
  const connect = () => Connection.open(port, until);
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
