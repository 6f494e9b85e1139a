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
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import type { EventStream } from "./event-stream.ts";
import type { Exchange, ScriptedSession } from "./scripted-exchange.ts";
import { type ScriptedHttp, startScriptedHttp } from "./scripted-http.ts";

/** Serves what was posted: with an acknowledgement here, and an answer on the `stream` of the session. */
export type SseScript = (exchange: Exchange, stream: EventStream) => void | Promise<void>;

export interface SseServerOptions {
  /** Serves the GET that is to open a session: with `welcome`, or with something else. */
  readonly greet?: (visit: Exchange) => void;
}

export interface SseServer extends ScriptedHttp {
  /** Those whose stream is open, by id. */
  readonly sessions: ReadonlyMap<string, ScriptedSession>;
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
  const sessions = new Map<string, ScriptedSession>();
  const http = await startScriptedHttp({
    path: "/sse",
    sessionOf: ({ url }, method) => {
      if (method === "GET") return { id: randomUUID(), initialize: {}, stream: undefined };
      const id = new URL(String(url), "http://any").searchParams.get("session");
      return sessions.get(id ?? "");
    },
    serve: (exchange) => {
      const { method, session } = exchange;
      if (method === "GET") return receive(exchange);
      if (session.stream === undefined) return exchange.reply(404, "Session not found");
      return (scripts[method] ?? DEFAULTS[method] ?? unscripted)(exchange, session.stream);
    },
    refuse: (exchange) => exchange.reply(404, "Session not found"),
  });

  function receive(visit: Exchange): void {
    const id = String(visit.session.id);
    sessions.set(id, visit.session);
    visit.response.once("close", () => {
      sessions.delete(id);
      http.changed();
    });
    greet(visit);
  }

  return Object.assign(http, { sessions });
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
