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
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import type { EventStream } from "./event-stream.ts";
import type { Exchange, ScriptedSession } from "./scripted-exchange.ts";
import { type ScriptedHttp, startScriptedHttp } from "./scripted-http.ts";

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

export interface ScriptedServer extends ScriptedHttp {
  /** The sessions that the server knows; `delete` one, or `clear`, to lose them. */
  readonly sessions: Map<string | undefined, ScriptedSession>;
  /** Serves a method (or `GET`, `DELETE`) from now on. */
  on(method: string, script: Script): void;
  /** The standalone GET stream of a session (of any, unless given), as soon as it is there. */
  stream(session?: ScriptedSession): Promise<EventStream>;
}

export async function startScriptedServer(
  scripts: Readonly<Record<string, Script>> = {},
  options: ScriptedServerOptions = {},
): Promise<ScriptedServer> {
  const sessions = new Map<string | undefined, ScriptedSession>();
  const scriptOf = new Map(Object.entries({ ...defaults(options, sessions), ...scripts }));
  const http = await startScriptedHttp({
    path: "/mcp",
    port: options.port,
    sessionOf: ({ headers }, method, { params: initialize = {} }) => {
      const id = options.stateless ? undefined : headers["mcp-session-id"]?.toString();
      if (method !== "initialize" && (id !== undefined || !options.stateless)) return sessions.get(id);
      const fresh = { id: options.stateless ? undefined : randomUUID(), initialize, stream: undefined };
      const session = (options.stateless ? sessions.get(undefined) : undefined) ?? fresh;
      sessions.set(session.id, session);
      return session;
    },
    serve: (exchange) => (scriptOf.get(exchange.method) ?? unscripted)(exchange),
    refuse: (exchange) => exchange.error(-32001, "Session not found", { status: options.lostStatus ?? 404 }),
  });

  const openStream = (session?: ScriptedSession): EventStream | undefined =>
    (session ? [session] : [...sessions.values()]).find(({ stream }) => stream?.isOpen)?.stream;

  return Object.assign(http, {
    sessions,
    on: (method: string, script: Script) => void scriptOf.set(method, script),
    stream: (session?: ScriptedSession) => http.found(() => openStream(session), "an open GET stream"),
  });
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

const unscripted: Script = (exchange) =>
  exchange.message.method !== undefined && exchange.message.id !== undefined
    ? exchange.error(-32601, `no script for ${exchange.method}`)
    : exchange.accept();
