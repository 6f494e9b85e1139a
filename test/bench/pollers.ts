/** The clients that behave: a process of its own, with many callers that have tasks and poll them as often as they were told. */

import { setTimeout as sleep } from "node:timers/promises";
import { answerQuestions } from "./answers.ts";
import { Connection, encode } from "./connection.ts";
import { modern } from "./requests.ts";

export interface Beginning {
  readonly kind: "begin";
  readonly port: number;
  readonly path: string;
  readonly callers: number;
  readonly tasksEach: number;
}

export interface Polling {
  readonly kind: "poll";
  readonly intervalMs: number;
  /** Each task is polled once in the interval, and so often in all. */
  readonly times: number;
}

export interface Polled {
  readonly polls: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** How many were not answered with the task. */
  readonly failed: number;
}

interface Caller {
  readonly port: number;
  /** The requests that poll its tasks. */
  readonly polls: readonly Buffer[];
}

const BEGUN_AT_ONCE = 32;
const TASK_ID = /"taskId":"([^"]+)"/;
const callers: Caller[] = [];

answerQuestions((question: Beginning | Polling) =>
  question.kind === "begin" ? begin(question) : poll(question),
);
console.log("ready");

async function begin({ port, path, callers: count, tasksEach }: Beginning): Promise<number> {
  const names = Array.from({ length: count }, (_, index) => `caller-${index}`);
  await Promise.all(
    Array.from({ length: BEGUN_AT_ONCE }, async () => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) {
        const connection = await Connection.open(port);
        const polls: Buffer[] = [];
        for (let task = 0; task < tasksEach; task += 1)
          polls.push(await beginTask({ port, path, name, connection, id: task + 1 }));
        connection.close();
        callers.push({ port, polls });
      }
    }),
  );
  return callers.length * tasksEach;
}

/** Gives the request that polls the task. */
async function beginTask(at: {
  readonly port: number;
  readonly path: string;
  readonly name: string;
  readonly connection: Connection;
  readonly id: number;
}): Promise<Buffer> {
  const { port, path, name, connection, id } = at;
  const as = { "x-user": name };
  const create = modern(id, "tools/call", { name: "work", arguments: {} });
  const answer = await connection.send(
    encode(port, path, { ...create, headers: { ...create.headers, ...as } }),
  );
  const taskId = TASK_ID.exec(answer)?.[1];
  if (taskId === undefined) throw new Error(`no task was begun: ${answer}`);
  const get = modern(id, "tasks/get", { taskId });
  return encode(port, path, { ...get, headers: { ...get.headers, ...as } });
}

/** Every caller begins at a moment of its own, and has one request in flight. */
async function poll({ intervalMs, times }: Polling): Promise<Polled> {
  const durations: number[] = [];
  let failed = 0;
  const startedAt = performance.now();
  await Promise.all(
    callers.map(async ({ port, polls }, index) => {
      const gapMs = intervalMs / polls.length;
      const offsetMs = (gapMs * index) / callers.length;
      await sleep(offsetMs);
      // One that nobody uses for five seconds the gateway closes.
      const connection = await Connection.open(port);
      for (let turn = 0; turn < polls.length * times; turn += 1) {
        const dueMs = startedAt + offsetMs + turn * gapMs - performance.now();
        if (dueMs > 0) await sleep(dueMs);
        const sentAt = performance.now();
        const answer = await connection.send(polls[turn % polls.length] ?? Buffer.alloc(0));
        durations.push(performance.now() - sentAt);
        if (!answer.includes('"status":"working"')) failed += 1;
      }
      connection.close();
    }),
  );
  durations.sort((a, b) => a - b);
  const quantile = (q: number) => durations[Math.floor(q * durations.length)] ?? Number.NaN;
  return { polls: durations.length, p50Ms: quantile(0.5), p99Ms: quantile(0.99), failed };
}
