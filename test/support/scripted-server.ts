/**
 * A legacy Streamable HTTP server on `node:http` that does what a test says, method by method, and keeps a record.
 *
 *     const server = await startScriptedServer({
 *       "tools/call": async (call) => {
 *         const stream = call.sse();
 *         stream.event({ not: "a message" }, { id: "1" });
 *         await call.cancelled;
 *         stream.event(call.answer({ content: [] }));   // an answer after the cancellation
 *       },
 *     });
 *     t.onTestFinished(server.close);
 *     const call = await server.arrival("tools/call");
 *     await server.until(() => server.pending === 0, "the gateway lets go");
 *
 * A script is named after the JSON-RPC method it serves; `GET` and `DELETE` serve the HTTP verbs. What has no script is
 * answered sensibly: initialize, ping, tools/list, notifications, the GET stream and the DELETE of a session; other
 * requests get -32601. What the client answers to `stream.ask(…)` is recorded as the method `answer`.
 */

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  isRequestId,
  type JsonObject,
  type JsonRpcResponse,
  type RequestId,
} from "../../src/protocol/jsonrpc.ts";
import { Conditions } from "./conditions.ts";
import type { Ask, EventStream } from "./event-stream.ts";
import { Exchange, type Received } from "./scripted-exchange.ts";

export type Script = (exchange: Exchange) => void | Promise<void>;

export interface ScriptedServerOptions {
  /** Any that is free, unless given. */
  readonly port?: number;
  /** Without sessions the server hands out no `Mcp-Session-Id` and ignores those it is sent. */
  readonly stateless?: boolean;
  /** The revision that `initialize` answers; that of the request unless given. */
  readonly protocolVersion?: string;
  readonly capabilities?: JsonObject;
  readonly tools?: readonly JsonObject[];
  /** How an unknown session is refused: with 404 (as JSON) unless given. */
  readonly lostStatus?: 400 | 404;
}

export interface ScriptedSession {
  /** Undefined on a stateless server. */
  readonly id: string | undefined;
  /** What the client sent as params of `initialize`. */
  readonly initialize: JsonObject;
  /** The standalone GET stream while there is one; the newest, when there are several. */
  stream: EventStream | undefined;
}

export interface ScriptedServer {
  readonly url: URL;
  /** Every message that was posted, in order; GET and DELETE with an empty message. */
  readonly received: readonly Exchange[];
  /** The sessions that the server knows; `delete` one, or `clear`, to lose them. */
  readonly sessions: Map<string | undefined, ScriptedSession>;
  /** HTTP requests in progress, open streams included, and connections. */
  readonly pending: number;
  readonly sockets: number;
  /** Serves a method (or `GET`, `DELETE`) from now on. */
  on(method: string, script: Script): void;
  /** The nth message of this method (counted from 1), as soon as it is there; fails after five seconds. */
  arrival(method: string, nth?: number): Promise<Exchange>;
  /** The standalone GET stream of a session (of any, unless given), as soon as it is there. */
  stream(session?: ScriptedSession): Promise<EventStream>;
  /** Waits until something holds that this server can see; `what` names it in the error after five seconds. */
  until(condition: () => boolean, what: string): Promise<void>;
  /** Destroys every connection. Rejects with what a script threw, so that the test fails with it. */
  close(): Promise<void>;
}

export async function startScriptedServer(
  scripts: Readonly<Record<string, Script>> = {},
  options: ScriptedServerOptions = {},
): Promise<ScriptedServer> {
  const received: Exchange[] = [];
  const sessions = new Map<string | undefined, ScriptedSession>();
  const scriptOf = new Map(Object.entries({ ...defaults(options, sessions), ...scripts }));
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
  http.listen(options.port ?? 0, "127.0.0.1");
  await new Promise<void>((resolve) => http.once("listening", () => resolve()));

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that leaves while it speaks, and an answer that is written to nobody, are no faults of a script.
    response.on("error", () => undefined);
    const body = await text(request).catch(() => undefined);
    if (body === undefined) return;
    const message: Received["message"] = body === "" ? {} : JSON.parse(body);
    const method = request.method === "POST" ? String(message.method ?? "answer") : String(request.method);
    const session = sessionOf(request, method, message);
    const known = session ?? { id: undefined, initialize: {}, stream: undefined };
    const exchange = new Exchange({ method, message, request, response, session: known, ask: askIn(known) });
    received.push(exchange);
    if (method === "notifications/cancelled") cancel(exchange);
    if (method === "answer")
      answers.get(questionKey(known, message.id))?.(message as unknown as JsonRpcResponse);
    conditions.check();
    if (session) await (scriptOf.get(method) ?? unscripted)(exchange);
    else exchange.error(-32001, "Session not found", { status: options.lostStatus ?? 404 });
    conditions.check();
  }

  function sessionOf(
    request: IncomingMessage,
    method: string,
    message: Received["message"],
  ): ScriptedSession | undefined {
    const id = options.stateless ? undefined : request.headers["mcp-session-id"]?.toString();
    if (method !== "initialize" && (id !== undefined || !options.stateless)) return sessions.get(id);
    const fresh: ScriptedSession = {
      id: options.stateless ? undefined : randomUUID(),
      initialize: message.params ?? {},
      stream: undefined,
    };
    const session = (options.stateless ? sessions.get(undefined) : undefined) ?? fresh;
    sessions.set(session.id, session);
    return session;
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

  const openStream = (session?: ScriptedSession): EventStream | undefined =>
    (session ? [session] : [...sessions.values()]).find(({ stream }) => stream?.isOpen)?.stream;

  return {
    url: new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`),
    received,
    sessions,
    get pending() {
      return pending;
    },
    get sockets() {
      return sockets;
    },
    on: (method, script) => void scriptOf.set(method, script),
    arrival: (method, nth = 1) =>
      conditions.found(
        () => received.filter((exchange) => exchange.method === method)[nth - 1],
        `message ${nth} of ${method}`,
      ),
    stream: (session) => conditions.found(() => openStream(session), "an open GET stream"),
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

function defaults(
  { protocolVersion, capabilities, tools }: ScriptedServerOptions,
  sessions: ScriptedServer["sessions"],
): Record<string, Script> {
  return {
    initialize: (exchange) =>
      exchange.json({
        protocolVersion: protocolVersion ?? exchange.message.params?.protocolVersion,
        capabilities: capabilities ?? { tools: {} },
        serverInfo: { name: "scripted", version: "1.0.0" },
      }),
    ping: (exchange) => exchange.json({}),
    "tools/list": (exchange) =>
      exchange.json({ tools: tools ?? [{ name: "anything", inputSchema: { type: "object" } }] }),
    GET: (exchange) => {
      exchange.session.stream = exchange.sse();
    },
    DELETE: (exchange) => {
      sessions.delete(exchange.session.id);
      exchange.reply(200, {});
    },
  };
}

function questionKey(session: ScriptedSession, id: RequestId | undefined): string {
  return JSON.stringify([session.id, id]);
}

const unscripted: Script = (exchange) =>
  exchange.message.method !== undefined && exchange.message.id !== undefined
    ? exchange.error(-32601, `no script for ${exchange.method}`)
    : exchange.accept();

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
