/**
 * What a scripted server does whichever transport it has: listens, reads what comes into exchanges, keeps a record of them, asks questions,
 * and lets tests wait. The transports are `scripted-server.ts` (Streamable HTTP) and `sse-server.ts` (HTTP+SSE).
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { isRequestId, type JsonRpcResponse, type RequestId } from "../../src/protocol/jsonrpc.ts";
import { Conditions } from "./conditions.ts";
import type { Ask } from "./event-stream.ts";
import { Exchange, type Received, type ScriptedSession } from "./scripted-exchange.ts";

export interface ScriptedTransport {
  /** Of the server's URL. */
  readonly path: string;
  /** Any that is free, unless given. */
  readonly port?: number | undefined;
  /** The session of a request, which may be new. Undefined: the server knows none. */
  sessionOf(
    request: IncomingMessage,
    method: string,
    message: Received["message"],
  ): ScriptedSession | undefined;
  serve(exchange: Exchange): void | Promise<void>;
  /** Answers a request that is in no session. */
  refuse(exchange: Exchange): void;
}

export interface ScriptedHttp {
  readonly url: URL;
  /** Every message that was posted, in order; GET and DELETE with an empty message. */
  readonly received: readonly Exchange[];
  /** HTTP requests in progress, open streams included, and connections. */
  readonly pending: number;
  readonly sockets: number;
  /** The nth message of this method (counted from 1), as soon as it is there; fails after a minute. */
  arrival(method: string, nth?: number): Promise<Exchange>;
  /** What `find` finds, as soon as it finds something that this server can see; `what` names it in the error after a minute. */
  found<T>(find: () => T | undefined, what: string): Promise<T>;
  /** Waits until something holds that this server can see; `what` names it in the error after a minute. */
  until(condition: () => boolean, what: string): Promise<void>;
  /** Call this when something has changed for which a test may wait. */
  changed(): void;
  /** Destroys every connection. Rejects with what a script threw, so that the test fails with it. */
  close(): Promise<void>;
}

export async function startScriptedHttp(transport: ScriptedTransport): Promise<ScriptedHttp> {
  const received: Exchange[] = [];
  /** By session, since every session counts its questions from the same number. */
  const answers = new Map<string, (response: JsonRpcResponse) => void>();
  const conditions = new Conditions(
    () => `received so far: ${received.map(({ method }) => method).join(", ") || "nothing"}`,
  );
  const faults: unknown[] = [];
  let pending = 0;
  let sockets = 0;
  let asked = 0;

  const http = createServer((request, response) => {
    pending += 1;
    response.once("close", () => {
      pending -= 1;
      conditions.check();
    });
    serve(request, response).catch((error: unknown) => {
      faults.push(error);
      response.destroy();
    });
  });
  http.on("connection", (socket) => {
    sockets += 1;
    socket.once("close", () => {
      sockets -= 1;
      conditions.check();
    });
  });
  http.listen(transport.port ?? 0, "127.0.0.1");
  await new Promise<void>((resolve) => http.once("listening", () => resolve()));

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that leaves while it speaks, and an answer that is written to nobody, are no faults of a script.
    response.on("error", () => undefined);
    const body = await text(request).catch(() => undefined);
    if (body === undefined) return;
    const message: Received["message"] = body === "" ? {} : JSON.parse(body);
    const method = request.method === "POST" ? String(message.method ?? "answer") : String(request.method);
    const known = transport.sessionOf(request, method, message);
    const session = known ?? { id: undefined, initialize: {}, stream: undefined };
    const exchange = new Exchange({ method, message, request, response, session, ask: askIn(session) });
    received.push(exchange);
    if (method === "notifications/cancelled") cancel(exchange);
    if (method === "answer")
      answers.get(questionKey(session, message.id))?.(message as unknown as JsonRpcResponse);
    conditions.check();
    if (known === undefined) transport.refuse(exchange);
    else await transport.serve(exchange);
    conditions.check();
  }

  function cancel({ message, session }: Exchange): void {
    const { requestId, reason } = message.params ?? {};
    for (const exchange of received) {
      const isMeant = exchange.message.id === requestId && exchange.session === session;
      if (isMeant && isRequestId(requestId)) exchange.cancel(reason);
    }
  }

  const askIn =
    (session: ScriptedSession): Ask =>
    (write, method, params, given) => {
      asked += 1;
      const id = given ?? `asked-${asked}`;
      const key = questionKey(session, id);
      return new Promise((resolve) => {
        answers.set(key, (response) => {
          answers.delete(key);
          resolve(response);
        });
        write({ jsonrpc: "2.0", id, method, ...(params && { params }) });
      });
    };

  return {
    url: new URL(transport.path, `http://127.0.0.1:${(http.address() as AddressInfo).port}`),
    received,
    get pending() {
      return pending;
    },
    get sockets() {
      return sockets;
    },
    arrival: (method, nth = 1) =>
      conditions.found(
        () => received.filter((exchange) => exchange.method === method)[nth - 1],
        `message ${nth} of ${method}`,
      ),
    found: (find, what) => conditions.found(find, what),
    until: async (condition, what) => {
      await conditions.found(() => condition() || undefined, what);
    },
    changed: () => conditions.check(),
    close: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
      if (faults.length > 0) throw faults[0];
    },
  };
}

function questionKey(session: ScriptedSession, id: RequestId | undefined): string {
  return JSON.stringify([session.id, id]);
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
