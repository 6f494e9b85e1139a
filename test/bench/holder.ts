/** The client that holds streams: a process of its own, which opens as many as it is asked for and keeps them. */

import { answerQuestions } from "./answers.ts";
import { Connection, encode } from "./connection.ts";
import type { Request } from "./requests.ts";

export interface Held {
  readonly port: number;
  readonly path: string;
  readonly request: Request;
  readonly streams: number;
}

/** Few enough for every queue on the way. */
const OPENED_AT_ONCE = 50;
const open: Connection[] = [];

answerQuestions((held: Held) => hold(held));
console.log("ready");

/** Gives how many are open, each of which has had its first event. */
async function hold({ port, path, request, streams }: Held): Promise<number> {
  const bytes = encode(port, path, request);
  for (let left = streams; left > 0; left -= OPENED_AT_ONCE) {
    const some = Array.from({ length: Math.min(left, OPENED_AT_ONCE) }, async () => {
      const connection = await Connection.open(port, "event");
      await connection.send(bytes);
      return connection;
    });
    open.push(...(await Promise.all(some)));
  }
  return open.length;
}
