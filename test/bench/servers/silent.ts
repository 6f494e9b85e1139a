/**
 * A legacy server that costs nothing: no sessions, JSON only, and calls of its tool are never answered. Says how many it
 * holds when it is asked.
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { answerQuestions } from "../answers.ts";

let held = 0;
const initialized = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: {} },
  serverInfo: { name: "silent", version: "1.0.0" },
};
const tools = [{ name: "work", inputSchema: { type: "object" } }];

const http = createServer((request, response) => void serve(request, response));
http.listen(0, "127.0.0.1", 16_384, () => {
  console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`);
});
answerQuestions(() => held);

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== "POST") return void response.writeHead(405).end();
  const { id, method } = JSON.parse(await text(request));
  switch (method) {
    case "initialize":
      return reply(response, id, initialized);
    case "tools/list":
      return reply(response, id, { tools });
    case "tools/call":
      held += 1;
      response.once("close", () => {
        held -= 1;
      });
      return;
    default:
      return void response.writeHead(202).end();
  }
}

function reply(response: ServerResponse, id: unknown, result: object): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ jsonrpc: "2.0", id, result }));
}
