import type { IncomingMessage, ServerResponse } from "node:http";
import type { Route } from "../lanes/lane.ts";
import { answerModern } from "../lanes/modern.ts";
import { rpc, toRpcError } from "../protocol/errors.ts";
import { isObject, type RequestId } from "../protocol/jsonrpc.ts";
import { META, MODERN_VERSIONS } from "../protocol/modern.ts";
import type { Identify } from "./callers.ts";
import { answerPreflight, type Guard } from "./guards.ts";
import { type Inbound, idOf, readAccept, readJson, readMessage } from "./inbound.ts";
import { type Accepts, HttpReply } from "./outbound.ts";

export interface EndpointOptions {
  readonly guard: Guard;
  readonly identify: Identify;
  readonly maxBodyBytes: number;
  readonly keepAliveMs: number;
}

/** Serves one route's MCP endpoint. Never rejects. */
export type Endpoint = (request: IncomingMessage, response: ServerResponse, route: Route) => Promise<void>;

/** The MCP endpoint, by hand: it is on the path of every poll, and a framework would be most of its cost. */
export function mcpEndpoint({ guard, identify, maxBodyBytes, keepAliveMs }: EndpointOptions): Endpoint {
  return async (request, response, route) => {
    let id: RequestId | null = null;
    let accepts: Accepts = { json: true, stream: false };
    let reply: HttpReply | undefined;
    try {
      guard(request, response);
      if (request.method === "OPTIONS") return answerPreflight(request, response);
      if (request.method !== "POST") throw rpc.methodNotAllowed(request.method ?? "");
      accepts = readAccept(request.headers.accept);
      const body = await readJson(request, maxBodyBytes);
      id = idOf(body);
      const message = readMessage(body);
      if (message.id === undefined) return acknowledge(response);
      if (isLegacy(request, message)) {
        throw rpc.unsupportedVersion(legacyVersion(request, message), MODERN_VERSIONS);
      }
      reply = new HttpReply(response, { id, accepts, keepAliveMs });
      const { method, params = {} } = message;
      const caller = identify(request, route);
      await answerModern({ route, caller, headers: request.headers, id: message.id, method, params, reply });
    } catch (error) {
      reply ??= new HttpReply(response, { id, accepts, keepAliveMs });
      if (!request.complete && !response.headersSent) response.setHeader("Connection", "close");
      reply.error(toRpcError(error));
    }
  };
}

/** An endpoint that knows when nobody waits for an answer of it any more. */
export function counted(endpoint: Endpoint): { readonly endpoint: Endpoint; idle(): Promise<void> } {
  let running = 0;
  const waiting = new Set<() => void>();
  return {
    endpoint: async (...request) => {
      running += 1;
      try {
        await endpoint(...request);
      } finally {
        running -= 1;
        if (running === 0) for (const resolve of waiting) resolve();
      }
    },
    idle: () => (running === 0 ? Promise.resolve() : new Promise((resolve) => waiting.add(resolve))),
  };
}

/** A legacy client says its version in a header, if at all, and never in `_meta` (2026-07-28, Versioning §Terminology). */
function isLegacy(request: IncomingMessage, { params }: Inbound): boolean {
  const version = request.headers["mcp-protocol-version"];
  const meta = params?._meta;
  const isClaimed = isObject(meta) ? CLAIMS.some((key) => Object.hasOwn(meta, key)) : meta !== undefined;
  return !isClaimed && (version === undefined || (typeof version === "string" && version < "2026"));
}

const CLAIMS = [META.protocolVersion, META.clientCapabilities] as const;

/** What a client without the header speaks (2025-11-25, Transports §Protocol Version Header), unless it says so at first. */
function legacyVersion(request: IncomingMessage, { method, params }: Inbound): string {
  if (method === "initialize" && typeof params?.protocolVersion === "string") return params.protocolVersion;
  return String(request.headers["mcp-protocol-version"] ?? "2025-03-26");
}

/** 2026-07-28 has no notification for a server to act on, and takes those that it does not know. */
function acknowledge(response: ServerResponse): void {
  response.writeHead(202, { "Content-Length": 0 });
  response.end();
}
