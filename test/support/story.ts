/** A scripted server, a gateway in front of it, and the words that stories about the two are told in. */

import { expect, onTestFinished } from "vitest";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { type GatewaySettings, type GatewayUnderTest, gatewayFor } from "./gateway.ts";
import { type ModernClient, TASKS } from "./modern-client.ts";
import type { Exchange } from "./scripted-exchange.ts";
import {
  type Script,
  type ScriptedServer,
  type ScriptedServerOptions,
  startScriptedServer,
} from "./scripted-server.ts";

export interface Story extends GatewayUnderTest {
  readonly server: ScriptedServer;
  /** A client that declares tasks and every kind of input. */
  readonly user: ModernClient;
}

/** What the gateway is set to, apart from the server it stands in front of. */
export type StorySettings = Omit<GatewaySettings, "upstream">;

/** Declares tasks and everything that a server may ask for. */
export const EVERYTHING = {
  ...TASKS,
  elicitation: { form: {}, url: {} },
  sampling: { tools: {} },
  roots: {},
} as const;
/** The same without tasks. */
export const INPUT = { elicitation: { form: {}, url: {} }, sampling: { tools: {} }, roots: {} } as const;

/** Nothing is left open at the server when the gateway has closed, or the test fails. */
export async function story(
  scripts: Readonly<Record<string, Script>>,
  settings: StorySettings = {},
  options: ScriptedServerOptions = {},
): Promise<Story> {
  const server = await startScriptedServer(scripts, options);
  onTestFinished(server.close);
  onTestFinished(() => server.until(() => server.pending === 0, "every request to be let go"));
  const tested = await gatewayFor({ upstream: server.url, ...settings });
  return { ...tested, server, user: tested.client({ capabilities: EVERYTHING }) };
}

/** Params of a form elicitation; `key` suggests the key it is asked under. */
export function form(message: string, key?: string): JsonObject {
  const requestedSchema = { type: "object", properties: { name: { type: "string" } } };
  return { message, requestedSchema, ...(key === undefined ? {} : { _meta: { "mcp-taskgate/key": key } }) };
}

export function accept(content: JsonObject = {}): JsonObject {
  return { action: "accept", content };
}

export function textResult(text: string): JsonObject {
  return { content: [{ type: "text", text }] };
}

/** Asks once on the call's own stream, and answers with what it was told. */
export const asksOnce: Script = async (call) => {
  const stream = call.sse();
  const response = await stream.ask("elicitation/create", form("Who are you?", "name"));
  stream.event(
    call.answer(textResult(JSON.stringify("result" in response ? response.result : response.error))),
  );
  stream.end();
};

/** How many messages of a method, or requests with GET or DELETE, have reached the server. */
export function count(server: Pick<ScriptedServer, "received">, method: string): number {
  return server.received.filter((exchange) => exchange.method === method).length;
}

/** The sessions that tools were called on, in order. */
export function callSessions(server: ScriptedServer): (string | undefined)[] {
  return server.received.filter(({ method }) => method === "tools/call").map(({ session }) => session.id);
}

/** The first text of a tool's result. */
export function textOf(result: { content?: { text?: string }[] }): string | undefined {
  return result.content?.[0]?.text;
}

/** A promise and what settles it: a gate that a script waits at. */
export function gate<T = void>(): { readonly opened: Promise<T>; readonly open: (value: T) => void } {
  let open: (value: T) => void = () => {};
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Expects that a cancellation of exactly this request has reached the server. */
export async function expectCancelled(server: ScriptedServer, call: Exchange): Promise<void> {
  const cancelled = await server.arrival("notifications/cancelled");
  expect(cancelled.message.params?.requestId).toBe(call.message.id);
  expect(cancelled.session).toBe(call.session);
}
