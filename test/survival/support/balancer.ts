import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What stands in front of replicas and knows nothing of sessions. */
export interface Balancer {
  /** The same paths as at the replicas. */
  url(path: string): URL;
  /** How many requests each replica got, in the order of the replicas. */
  readonly shares: readonly number[];
  /** How many connections were reset before a byte of an answer had come: their replica had never taken them. */
  readonly untaken: number;
  /** What else became of requests that a replica had, and that got no whole answer. */
  readonly cuts: readonly string[];
  close(): Promise<void>;
}

/**
 * Spreads requests over replicas, each to the next one. A replica that refuses the connection is passed over; once it has
 * accepted, whatever becomes of it becomes of the client's connection as well, because the request may have had an effect.
 */
export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  const shares = ports.map(() => 0);
  const cuts: string[] = [];
  let untaken = 0;
  let turn = 0;
  const server: Server = createServer((from, to) => {
    const chunks: Buffer[] = [];
    from.on("data", (chunk: Buffer) => chunks.push(chunk));
    from.on("end", () => {
      turn += 1;
      pass(from, Buffer.concat(chunks), to, turn, ports.length);
    });
  });

  function pass(from: IncomingMessage, body: Buffer, to: ServerResponse, at: number, tries: number): void {
    const index = at % ports.length;
    const port = ports[index];
    if (port === undefined || tries === 0) return void to.writeHead(503).end();
    let isConnected = false;
    const passed = request(
      // A connection each, so that none is found dead when it is used again.
      { host: "127.0.0.1", port, path: from.url, method: from.method, agent: false },
      (answer) => {
        const { connection: _, "keep-alive": __, "transfer-encoding": ___, ...headers } = answer.headers;
        to.writeHead(answer.statusCode ?? 502, headers).flushHeaders();
        answer.pipe(to);
        answer.on("close", () => {
          if (answer.complete) return;
          // A client that leaves is not left.
          if (!to.destroyed) cuts.push(`${from.url} after HTTP ${answer.statusCode}`);
          to.destroy();
        });
      },
    );
    for (const [name, value] of Object.entries(from.headers)) {
      if (value !== undefined && name !== "connection") passed.setHeader(name, value);
    }
    passed.setHeader("host", `127.0.0.1:${port}`);
    passed.once("socket", (socket) =>
      socket.once("connect", () => {
        isConnected = true;
        shares[index] = (shares[index] ?? 0) + 1;
        passed.end(body);
      }),
    );
    passed.once("error", ({ code }: NodeJS.ErrnoException) => {
      if (!isConnected) return pass(from, body, to, at + 1, tries - 1);
      // Once the answer has begun, that is told above.
      if (!to.destroyed && !to.headersSent) {
        if (code === "ECONNRESET") untaken += 1;
        else cuts.push(`${from.url}: ${code}`);
      }
      to.destroy();
    });
    to.once("close", () => passed.destroy());
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: (path) => new URL(path, `http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    shares,
    get untaken() {
      return untaken;
    },
    cuts,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
