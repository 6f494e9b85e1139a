/** Serves v1 `Server`s over Streamable HTTP with sessions, the way the servers in the field do it: one of them a session. */

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import {
  StreamableHTTPServerTransport,
  type StreamableHTTPServerTransportOptions,
} from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";

export interface LegacyHttp {
  readonly url: URL;
  /** How many sessions are open. */
  readonly sessions: number;
  /** Ends every session and connection. */
  close(): Promise<void>;
}

/** Listens on the loopback interface. `newServer` is called for each session, `onEnd` when that ends. */
export async function serveLegacy(
  newServer: () => Server,
  { port = 0, onEnd = () => undefined }: { port?: number; onEnd?: (server: Server) => void } = {},
): Promise<LegacyHttp> {
  const sessions = legacySessions(newServer, onEnd);
  const http = createServer((request, response) => {
    sessions.handle(request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    });
  });

  http.listen(port, "127.0.0.1");
  await new Promise<void>((resolve, reject) => {
    http.once("listening", resolve);
    http.once("error", reject);
  });
  return {
    url: new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`),
    get sessions() {
      return sessions.size;
    },
    close: async () => {
      await sessions.close();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

/** The sessions alone, for a listener of somebody else's. `more` is called for the options of each session's transport. */
export function legacySessions(
  newServer: () => Server,
  onEnd: (server: Server) => void = () => undefined,
  more: () => StreamableHTTPServerTransportOptions = () => ({}),
) {
  const transports = new Map<string, StreamableHTTPServerTransport>();

  async function open(): Promise<StreamableHTTPServerTransport> {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void transports.set(id, transport),
      ...more(),
    });
    const server = newServer();
    server.onclose = () => {
      transports.delete(transport.sessionId ?? "");
      onEnd(server);
    };
    await server.connect(transport as Transport);
    return transport;
  }

  return {
    get size() {
      return transports.size;
    },
    /** `body` has the body where the listener has read it already. */
    handle: async (request: IncomingMessage, response: ServerResponse, body?: unknown): Promise<void> => {
      const id = request.headers["mcp-session-id"];
      const transport = id === undefined ? await open() : transports.get(String(id));
      if (transport) await transport.handleRequest(request, response, body);
      else refuse(response);
    },
    close: async (): Promise<void> => {
      await Promise.all([...transports.values()].map((transport) => transport.close()));
    },
  };
}

function refuse(response: ServerResponse): void {
  const error = { code: -32001, message: "Session not found" };
  response.writeHead(404, { "content-type": "application/json" });
  response.end(JSON.stringify({ jsonrpc: "2.0", id: null, error }));
}

/** Runs a fixture when its file was started as a program (`tsx FILE --port 0`): prints its URL as one line, ends on a signal. */
export async function runAsProgram(
  moduleUrl: string,
  start: (options: { port: number }) => Promise<{ url: URL; close(): Promise<void> }>,
): Promise<void> {
  if (process.argv[1] !== fileURLToPath(moduleUrl)) return;
  const { values } = parseArgs({ options: { port: { type: "string", default: "0" } } });
  const server = await start({ port: Number(values.port) });
  console.log(server.url.href);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void server.close());
}
