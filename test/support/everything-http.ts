/** Serves v1 `Server`s the way the examples of the SDK do: Express, with its check of the Host header, and one server a session. */

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createMcpExpressApp } from "@modelcontextprotocol/sdk/server/express.js";
import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import type { Request, Response } from "express";
import { keptEvents } from "./everything-events.ts";
import type { LegacyHttp } from "./legacy-http.ts";

export interface EverythingHttpOptions {
  readonly port?: number;
  /** Whether events are kept, so that a stream can be picked up again with `Last-Event-ID`. */
  readonly isResumable?: boolean;
  readonly onEnd?: (server: Server) => void;
}

/** Listens on the loopback interface. `newServer` is called for each session, `onEnd` when that ends. */
export async function serveEverything(
  newServer: () => Server,
  { port = 0, isResumable = false, onEnd = () => undefined }: EverythingHttpOptions = {},
): Promise<LegacyHttp> {
  const transports = new Map<string, StreamableHTTPServerTransport>();

  const app = createMcpExpressApp();
  app.all("/mcp", async (request: Request, response: Response) => {
    const id = request.get("mcp-session-id");
    const transport = id === undefined ? await open() : transports.get(id);
    if (transport) await transport.handleRequest(request, response, request.body);
    else response.status(404).json({ jsonrpc: "2.0", id: null, error: SESSION_NOT_FOUND });
  });

  async function open(): Promise<StreamableHTTPServerTransport> {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void transports.set(id, transport),
      ...(isResumable ? { eventStore: keptEvents(), retryInterval: RETRY_MS } : {}),
    });
    const server = newServer();
    server.onclose = () => {
      transports.delete(transport.sessionId ?? "");
      onEnd(server);
    };
    await server.connect(transport as Transport);
    return transport;
  }

  const http = app.listen(port, "127.0.0.1");
  await once(http, "listening");
  return {
    url: new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`),
    get sessions() {
      return transports.size;
    },
    close: async () => {
      await Promise.all([...transports.values()].map((transport) => transport.close()));
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

const SESSION_NOT_FOUND = { code: -32001, message: "Session not found" };

/** Several releases of the SDK lose what is sent while a client reconnects sooner than 400 ms after a cut. */
const RETRY_MS = 500;
