/** The client that does not behave: a process of its own, one caller that asks as fast as it can on many connections. */

import { answerQuestions } from "./answers.ts";
import { Connection, encode } from "./connection.ts";
import { modern } from "./requests.ts";

export interface Flood {
  readonly port: number;
  readonly path: string;
  /** Half of them call a tool, and half of them ask for one task. */
  readonly connections: number;
  readonly forMs: number;
}

export interface Flooded {
  readonly answers: number;
  /** Those that were refused because there were too many. */
  readonly refused: number;
}

const AS = { "x-user": "flooder" };
const TASK_ID = /"taskId":"([^"]+)"/;

answerQuestions(flood);
console.log("ready");

async function flood({ port, path, connections, forMs }: Flood): Promise<Flooded> {
  const as = (request: ReturnType<typeof modern>) =>
    encode(port, path, { ...request, headers: { ...request.headers, ...AS } });
  const call = as(modern(1, "tools/call", { name: "work", arguments: {} }));
  const open = await Promise.all(Array.from({ length: connections }, () => Connection.open(port)));
  const taskId = TASK_ID.exec((await open[0]?.send(call)) ?? "")?.[1] ?? "none";
  const get = as(modern(2, "tasks/get", { taskId }));
  const counts = { answers: 0, refused: 0 };
  const endsAt = performance.now() + forMs;
  await Promise.all(
    open.map(async (connection, index) => {
      while (performance.now() < endsAt) {
        const answer = await connection.send(index % 2 === 0 ? call : get);
        counts.answers += 1;
        if (answer.startsWith("HTTP/1.1 429")) counts.refused += 1;
      }
      connection.close();
    }),
  );
  return counts;
}
