/** What a legacy client sends, one request at a time. */

import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { type Asking, ask, type Header, header, type OpenAnswer, open } from "./raw-client.ts";

export const BOTH = "application/json, text/event-stream";

/** A message on its way, with the headers that every client sends. */
export function posting(message: unknown, more: readonly Header[] = []): Asking {
  return {
    headers: [["Content-Type", "application/json"], ...(hasAccept(more) ? [] : [ACCEPT]), ...more],
    body: typeof message === "string" ? message : JSON.stringify(message),
  };
}

export function initialize(protocolVersion: string, capabilities: JsonObject = {}): JsonObject {
  const clientInfo = { name: "raw", version: "1.0.0" };
  return {
    jsonrpc: "2.0",
    id: 0,
    method: "initialize",
    params: { protocolVersion, capabilities, clientInfo },
  };
}

export const INITIALIZED = { jsonrpc: "2.0", method: "notifications/initialized" };

export function call(
  id: number | string,
  name: string,
  args: JsonObject = {},
  meta?: JsonObject,
): JsonObject {
  const params = { name, arguments: args, ...(meta === undefined ? {} : { _meta: meta }) };
  return { jsonrpc: "2.0", id, method: "tools/call", params };
}

/** A session that has been opened. */
export interface LegacySession {
  readonly url: URL;
  /** What names the session, and its version where that has to be named. */
  readonly headers: readonly Header[];
  post(message: unknown, more?: readonly Header[]): OpenAnswer;
  listen(more?: readonly Header[]): OpenAnswer;
}

export async function openSession(
  url: URL,
  version = "2025-06-18",
  capabilities: JsonObject = {},
): Promise<LegacySession> {
  const { text: _, ...opened } = await opening(url, version, capabilities);
  await ask(url, posting(INITIALIZED, opened.headers));
  return opened;
}

/** The same, with the answer to `initialize`, and before `initialized`. */
export async function opening(
  url: URL,
  version: string,
  capabilities: JsonObject = {},
): Promise<LegacySession & { readonly text: string; readonly answer: OpenAnswer }> {
  const answer = await ask(url, posting(initialize(version, capabilities)));
  const id = header(answer, "mcp-session-id");
  const headers: readonly Header[] = [
    ...(id === undefined ? [] : [["Mcp-Session-Id", id] as const]),
    // The header came with 2025-06-18 (Transports §Protocol Version Header).
    ...(version < "2025-06-18" ? [] : [["MCP-Protocol-Version", version] as const]),
  ];
  return {
    url,
    headers,
    answer,
    text: answer.text,
    post: (message, more = []) => open(url, posting(message, [...headers, ...more])),
    listen: (more = []) =>
      open(url, { method: "GET", headers: [["Accept", "text/event-stream"], ...headers, ...more] }),
  };
}

const ACCEPT: Header = ["Accept", BOTH];

function hasAccept(headers: readonly Header[]): boolean {
  return headers.some(([name]) => name === "Accept");
}
