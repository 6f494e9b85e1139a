/**
 * A server of 2024-11-05 on `node:http`: a session is an event stream, which answers everything that is posted for it. It does
 * what a test says, method by method, and keeps a record, like its sibling over Streamable HTTP in scripted-server.ts.
 *
 *     const server = await startSseServer({
 *       "tools/call": async (call, stream) => {
 *         call.accept();
 *         await stream.ask("elicitation/create", { message: "?" });
 *         stream.event(call.answer({ content: [] }));
 *       },
 *     });
 *     onTestFinished(server.close);
 *
 * What has no script is answered sensibly: initialize, ping, tools/list and notifications; other requests get -32601.
 */

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { isRequestId, type JsonObject, type JsonRpcResponse } from "../../src/protocol/jsonrpc.ts";
import { Conditions } from "./conditions.ts";
import type { EventStream } from "./event-stream.ts";
import { Exchange, type Received } from "./scripted-exchange.ts";
import type { ScriptedServer, ScriptedSession } from "./scripted-server.ts";

/** Serves what was posted: with an acknowledgement here, and an answer on the `stream` of the session. */
export type SseScript = (exchange: Exchange, stream: EventStream) => void | Promise<void>;

export interface SseServerOptions {
  /** Serves the GET that is to open a session: with `welcome`, or with something else. */
  readonly greet?: (visit: Exchange) => void;
}

export interface SseServer
  extends Pick<ScriptedServer, "url" | "received" | "pending" | "arrival" | "until"> {
  /** Those whose stream is open, by id. */
  readonly sessions: ReadonlyMap<string, ScriptedSession>;
  /** How many streams were ever asked for. */
  readonly visits: number;
  /** Destroys every connection. Rejects with what a script threw, so that the test fails with it. */
  close(): Promise<void>;
}

/** Opens the stream, and names the endpoint of the session on it. */
export function welcome(visit: Exchange): EventStream {
  const stream = visit.sse().event(`/messages?session=${visit.session.id}`, { event: "endpoint" });
  visit.session.stream = stream;
  return stream;
}

/** Acknowledges a request and answers it. */
export function answering(result: JsonObject): SseScript {
  return (exchange, stream) => {
    exchange.accept();
    stream.event(exchange.answer(result));
  };
}

export async function startSseServer(
  scripts: Readonly<Record<string, SseScript>> = {},
  { greet = welcome }: SseServerOptions = {},
): Promise<SseServer> {
  const received: Exchange[] = [];
  const sessions = new Map<string, ScriptedSession>();
  const answers = new Map<string, (response: JsonRpcResponse) => void>();
  const conditions = new Conditions(
    () => `received so far: ${received.map(({ method }) => method).join(", ") || "nothing"}`,
  );
  const faults: unknown[] = [];
  let pending = 0;
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
  http.listen(0, "127.0.0.1");
  await new Promise<void>((resolve) => http.once("listening", () => resolve()));

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that leaves while it speaks, and an answer that is written to nobody, are no faults of a script.
    response.on("error", () => undefined);
    const body = await text(request).catch(() => undefined);
    if (body === undefined) return;
    const message: Received["message"] = body === "" ? {} : JSON.parse(body);
    const method = request.method === "POST" ? String(message.method ?? "answer") : String(request.method);
    const session = sessionOf(request) ?? { id: randomUUID(), initialize: {}, stream: undefined };
    const exchange = new Exchange({ method, message, request, response, session, ask: askIn(session) });
    received.push(exchange);
    if (method === "notifications/cancelled") cancel(exchange);
    if (method === "answer")
      answers.get(JSON.stringify([session.id, message.id]))?.(message as unknown as JsonRpcResponse);
    conditions.check();
    if (method === "GET") receive(exchange);
    else if (session.stream === undefined) exchange.reply(404, "Session not found");
    else await (scripts[method] ?? DEFAULTS[method] ?? unscripted)(exchange, session.stream);
    conditions.check();
  }

  function receive(visit: Exchange): void {
    const id = String(visit.session.id);
    sessions.set(id, visit.session);
    visit.response.once("close", () => {
      sessions.delete(id);
      conditions.check();
    });
    greet(visit);
  }

  function sessionOf({ url }: IncomingMessage): ScriptedSession | undefined {
    return sessions.get(new URL(String(url), "http://any").searchParams.get("session") ?? "");
  }

  function cancel({ message, session }: Exchange): void {
    const { requestId, reason } = message.params ?? {};
    for (const exchange of received) {
      const isMeant = exchange.message.id === requestId && exchange.session === session;
      if (isMeant && isRequestId(requestId)) exchange.cancel(reason);
    }
  }

  const askIn =
    (session: ScriptedSession): ConstructorParameters<typeof EventStream>[1] =>
    (write, method, params, given) => {
      asked += 1;
      const id = given ?? `asked-${asked}`;
      return new Promise((resolve) => {
        answers.set(JSON.stringify([session.id, id]), resolve);
        write({ jsonrpc: "2.0", id, method, ...(params && { params }) });
      });
    };

  return {
    url: new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/sse`),
    received,
    sessions,
    get pending() {
      return pending;
    },
    get visits() {
      return received.filter(({ method }) => method === "GET").length;
    },
    arrival: (method, nth = 1) =>
      conditions.found(
        () => received.filter((exchange) => exchange.method === method)[nth - 1],
        `message ${nth} of ${method}`,
      ),
    until: async (condition, what) => {
      await conditions.found(() => condition() || undefined, what);
    },
    close: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
      if (faults.length > 0) throw faults[0];
    },
  };
}

const DEFAULTS: Readonly<Record<string, SseScript>> = {
  initialize: answering({
    protocolVersion: "2024-11-05",
    capabilities: { tools: {} },
    serverInfo: { name: "scripted", version: "1.0.0" },
  }),
  ping: answering({}),
  "tools/list": answering({ tools: [{ name: "anything", inputSchema: { type: "object" } }] }),
};

const unscripted: SseScript = (exchange, stream) => {
  const { id, method } = exchange.message;
  exchange.accept();
  if (id === undefined || method === undefined) return;
  stream.event({ jsonrpc: "2.0", id, error: { code: -32601, message: `no script for ${method}` } });
};

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
