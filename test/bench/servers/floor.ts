/**
 * The least that a bridge of 2026-07-28 to an older server costs in Node: `node:http` in, undici's `dispatch` out, and what has to be read
 * read once. It has no limits, tasks or answers to anything unusual. Argument: the URL of the server.
 */

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Agent } from "undici";
import { openLegacySession } from "../requests.ts";

const upstream = new URL(process.argv[2] ?? "");
const agent = new Agent();
const headers = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
  "mcp-protocol-version": "2025-11-25",
  "mcp-session-id": await openLegacySession(upstream.href),
};
const serverInfo = { "io.modelcontextprotocol/serverInfo": { name: "echo", version: "1.0.0" } };
let lastId = 0;

const http = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.once("end", () => bridge(JSON.parse(Buffer.concat(chunks).toString()), response));
});
http.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`);
});

interface Asked {
  readonly id: unknown;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

function bridge({ id, method, params: { _meta, ...params } }: Asked, response: ServerResponse): void {
  lastId += 1;
  const body = JSON.stringify({ jsonrpc: "2.0", id: lastId, method, params });
  const chunks: Buffer[] = [];
  agent.dispatch(
    { origin: upstream.origin, path: upstream.pathname, method: "POST", headers, body },
    {
      onRequestStart: () => undefined,
      onResponseStart: () => undefined,
      onResponseData: (_, chunk) => void chunks.push(chunk),
      onResponseEnd: () => answer(response, id, Buffer.concat(chunks).toString()),
      onResponseError: () => response.destroy(),
    },
  );
}

/** @param events an event stream with the answer as its last event */
function answer(response: ServerResponse, id: unknown, events: string): void {
  const { result } = JSON.parse(events.slice(events.lastIndexOf("\ndata: ") + 7));
  const _meta = { ...result._meta, ...serverInfo };
  const message = JSON.stringify({
    jsonrpc: "2.0",
    id,
    result: { resultType: "complete", ...result, _meta },
  });
  response.writeHead(200, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(message),
  });
  response.end(message);
}
