/**
 * A server of 2025-11-25 with sessions, as most there are: it holds every call of its tool until it is told to answer them, and counts how often it
 * was called with each number. A process of its own. Answers `held` with how many calls it holds, `answer` by answering all of them, and `runs`
 * with how often it ran for each number.
 */

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { setImmediate as nextTurn } from "node:timers/promises";
import { answerQuestions } from "../bench/answers.ts";
import { resultOf } from "./result.ts";

interface HeldCall {
  readonly id: unknown;
  readonly n: number;
  readonly response: ServerResponse;
}

const held = new Set<HeldCall>();
const runs = new Map<number, number>();
const initialized = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: {} },
  serverInfo: { name: "held-calls", version: "1.0.0" },
};
const tools = [{ name: "work", inputSchema: { type: "object", properties: { n: { type: "integer" } } } }];
/** So many answers are written before the loop turns again. */
const ANSWERED_AT_ONCE = 50;

const http = createServer((request, response) => void serve(request, response));
// Long enough that a call which runs on is not cut off, and a session's next request finds its connection.
http.requestTimeout = 0;
http.keepAliveTimeout = 600_000;
http.listen(0, "127.0.0.1", 16_384, () => {
  console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`);
});
answerQuestions((question: "held" | "answer" | "runs") => {
  switch (question) {
    case "held":
      return held.size;
    case "answer":
      return answerAll();
    case "runs":
      return [...runs];
  }
});

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === "DELETE") return void response.writeHead(200).end();
  if (request.method !== "POST") return void response.writeHead(405).end();
  const { id, method, params } = JSON.parse(await text(request));
  switch (method) {
    case "initialize":
      response.setHeader("mcp-session-id", randomUUID());
      return reply(response, id, initialized);
    case "tools/list":
      return reply(response, id, { tools });
    case "tools/call": {
      const { n } = params.arguments;
      runs.set(n, (runs.get(n) ?? 0) + 1);
      const call = { id, n, response };
      held.add(call);
      response.once("close", () => held.delete(call));
      return;
    }
    default:
      return void response.writeHead(202).end();
  }
}

async function answerAll(): Promise<void> {
  let answered = 0;
  for (const { id, n, response } of held) {
    reply(response, id, { content: [{ type: "text", text: resultOf(n) }] });
    answered += 1;
    if (answered % ANSWERED_AT_ONCE === 0) await nextTurn();
  }
}

function reply(response: ServerResponse, id: unknown, result: object): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ jsonrpc: "2.0", id, result }));
}
