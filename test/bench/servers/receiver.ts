/** Takes events of webhooks, and says how many it has taken. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { answerQuestions } from "../answers.ts";

let taken = 0;

const server = createServer((request, response) => {
  request.resume().once("end", () => {
    taken += 1;
    response.writeHead(204).end();
  });
}).listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});
answerQuestions(() => taken);
