/** Serves v1 `Server`s the way the examples of the SDK do: Express, with its check of the Host header, and one server a session. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createMcpExpressApp } from "@modelcontextprotocol/sdk/server/express.js";
import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import type { Request, Response } from "express";
import { keptEvents } from "./everything-events.ts";
import { type LegacyHttp, legacySessions } from "./legacy-http.ts";

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
  const sessions = legacySessions(newServer, onEnd, () =>
    isResumable ? { eventStore: keptEvents(), retryInterval: RETRY_MS } : {},
  );
  const app = createMcpExpressApp();
  app.all("/mcp", (request: Request, response: Response) => sessions.handle(request, response, request.body));
  const http = app.listen(port, "127.0.0.1");
  await once(http, "listening");
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

/** Several releases of the SDK lose what is sent while a client reconnects sooner than 400 ms after a cut. */
const RETRY_MS = 500;
