/**
 * The client that makes the load of a server over stdio, without anything in between: it starts the server itself, and does the jobs
 * it is sent one after the other. Arguments: the command of the server.
 */

import { answerQuestions } from "./answers.ts";
import { type Load, measure } from "./measure.ts";
import { Pipe } from "./pipe.ts";

const [command = "", ...args] = process.argv.slice(2);
const pipe = await Pipe.open(command, args);
const encode = ({ body = "" }: { readonly body?: string }) => Buffer.from(`${body}\n`);

answerQuestions((load: Load) => measure(load, { encode, connect: async () => pipe.carrier() }));
console.log("ready");
