/** Requests as they go over the wire, made before anything is measured. */

export interface Request {
  /** POST unless it says otherwise. */
  readonly method?: string;
  /** Where the target has its endpoint, unless it says otherwise. */
  readonly path?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "taskgate-bench", version: "0" },
  "io.modelcontextprotocol/clientCapabilities": { extensions: { "io.modelcontextprotocol/tasks": {} } },
};

/** A request of 2026-07-28 from a client that knows tasks. */
export function modern(id: number, method: string, params: Readonly<Record<string, unknown>>): Request {
  const name = String(params.name ?? params.taskId);
  const headers = { "mcp-protocol-version": "2026-07-28", "mcp-method": method, "mcp-name": name };
  return {
    headers,
    body: JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta: META } }),
  };
}

/** A request of 2025-11-25 in a session. */
export function legacy(
  sessionId: string,
  id: number,
  method: string,
  params: Readonly<Record<string, unknown>>,
): Request {
  const headers = { "mcp-protocol-version": "2025-11-25", "mcp-session-id": sessionId };
  return { headers, body: JSON.stringify({ jsonrpc: "2.0", id, method, params }) };
}

/** Opens the stream that a session of 2025-11-25 listens on. */
export function legacyStream(sessionId: string): Request {
  const headers = { "mcp-protocol-version": "2025-11-25", "mcp-session-id": sessionId };
  return { method: "GET", headers: { ...headers, accept: "text/event-stream" } };
}

/** What a legacy client opens a session with. */
export const INITIALIZE = JSON.stringify({
  jsonrpc: "2.0",
  id: "open",
  method: "initialize",
  params: {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "taskgate-bench", version: "0" },
  },
});
export const INITIALIZED = JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" });

/**
 * Opens a session the way a legacy client does, and gives its id.
 * @throws when it is refused: with the answer
 */
export async function openLegacySession(url: string): Promise<string> {
  const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
  const opened = await fetch(url, { method: "POST", headers, body: INITIALIZE });
  const answer = await opened.text();
  if (!opened.ok) throw new Error(`${url} opens no session for a legacy client: ${opened.status} ${answer}`);
  const sessionId = opened.headers.get("mcp-session-id") ?? "";
  const acknowledged = await fetch(url, {
    method: "POST",
    headers: { ...headers, "mcp-session-id": sessionId },
    body: INITIALIZED,
  });
  await acknowledged.text();
  return sessionId;
}
