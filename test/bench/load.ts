/** The client that makes the load: a process of its own, which does the jobs it is sent one after the other. */

import { answerQuestions } from "./answers.ts";
import { Connection, encode } from "./connection.ts";
import { type Load, measure } from "./measure.ts";

export interface Job extends Load {
  readonly port: number;
  readonly path: string;
}

answerQuestions(({ port, path, ...load }: Job) =>
  measure(load, {
    encode: (request) => encode(port, path, request),
    connect: () => Connection.open(port, load.until),
  }),
);
console.log("ready");
