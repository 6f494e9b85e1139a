/** Servers behind the proxies: what reached them, and what is still open. Each is closed when the test ends. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from "node:net";
import { onTestFinished } from "vitest";
import { Conditions } from "../../support/conditions.ts";

export interface Origin {
  readonly url: URL;
  readonly server: Server;
  /** Every request, in order, with its body once that is there. */
  readonly received: readonly ReceivedRequest[];
  /** Requests that are not answered, open streams included. */
  readonly pending: number;
  readonly sockets: number;
  /** How many connections there have been. */
  readonly connections: number;
  until(condition: () => boolean, what: string): Promise<void>;
}

export interface ReceivedRequest {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export type Handler = (request: ReceivedRequest, response: ServerResponse) => void;

/** A server on `node:http` that has read a request before it answers. */
export async function startOrigin(handler: Handler): Promise<Origin> {
  const received: ReceivedRequest[] = [];
  const counts = { pending: 0, sockets: 0, connections: 0 };
  const conditions = new Conditions(() => `${received.length} requests, ${JSON.stringify(counts)}`);
  const count = (name: keyof typeof counts, by: number): void => {
    counts[name] += by;
    conditions.check();
  };
  const server = createServer((request, response) => {
    count("pending", 1);
    response.once("close", () => count("pending", -1));
    const chunks: Buffer[] = [];
    request.on("error", () => undefined);
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.once("end", () => {
      const { method = "", url = "", rawHeaders, headers } = request;
      const read = { method, url, rawHeaders, headers, body: Buffer.concat(chunks) };
      received.push(read);
      handler(read, response);
      conditions.check();
    });
  });
  server.on("connection", (socket) => {
    count("connections", 1);
    count("sockets", 1);
    socket.once("close", () => count("sockets", -1));
  });
  const url = await listening(server);
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url,
    server,
    received,
    get pending() {
      return counts.pending;
    },
    get sockets() {
      return counts.sockets;
    },
    get connections() {
      return counts.connections;
    },
    until: async (condition, what) => {
      await conditions.found(() => condition() || undefined, what);
    },
  };
}

/** A server that answers the head of every request with these bytes, whatever they are, and hangs up unless told not to. */
export async function startRawOrigin(
  answer: string,
  { hangsUp = true }: { readonly hangsUp?: boolean } = {},
): Promise<URL> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    let asked = "";
    socket.on("data", (chunk) => {
      asked += chunk.toString("latin1");
      if (!asked.includes("\r\n\r\n")) return;
      asked = "";
      socket.write(Buffer.from(answer, "latin1"));
      if (hangsUp) socket.end();
    });
  });
  const url = await listening(server);
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return url;
}

/** Listens on a free port of the loopback interface. */
export async function listening(server: TcpServer): Promise<URL> {
  server.listen(0, "127.0.0.1");
  await new Promise<void>((resolve) => server.once("listening", () => resolve()));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}
