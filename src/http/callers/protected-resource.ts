import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { JwtCallersConfig } from "../../config/config.ts";
import { rpc, toRpcError } from "../../protocol/errors.ts";
import type { Guard } from "../guards.ts";
import { HttpReply } from "../outbound.ts";

const WELL_KNOWN = "/.well-known/oauth-protected-resource";
const MAX_AGE_SECONDS = 300;
const METHODS = "GET, HEAD, OPTIONS";

/** The address by which clients know a route, and that of the document about it. */
export interface ResourceAddress {
  readonly resource: string;
  readonly metadata: string;
}

/** How the gateway knows by which address clients know it. */
export interface OwnAddress {
  readonly publicUrl: string | undefined;
  readonly isTrusted: (address: string | undefined) => boolean;
}

/**
 * The address of a route for the client that asks.
 * @param path one of the route's paths
 * @param publicUrl the origin by which clients know the gateway; unless given, the one that the request was sent to
 * @param isTrusted whether an address is that of a proxy that says where requests were sent to
 * @returns undefined when the request does not name the origin that it was sent to
 */
export function resourceAddress(
  request: IncomingMessage & { readonly baseUrl?: string },
  path: string,
  { publicUrl, isTrusted }: OwnAddress,
): ResourceAddress | undefined {
  const origin = publicUrl ?? originOf(request, isTrusted);
  if (origin === undefined) return undefined;
  // The app around the gateway expects the prefix that it cut off this path in front of every other path as well.
  const { baseUrl = "" } = request;
  const suffix = path === "/" ? "" : path;
  return {
    resource: `${origin}${baseUrl}${suffix}`,
    metadata: `${origin}${baseUrl}${WELL_KNOWN}${suffix}`,
  };
}

/** Answers a request for a document about the gateway itself. Returns whether it was one. */
export type Documents = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface ResourceDocumentsOptions extends Pick<JwtCallersConfig, "issuer" | "scopes">, OwnAddress {
  /** All routes by path, which may change. */
  readonly routes: () => ReadonlyMap<string, unknown>;
  /** Refuses hosts that the gateway does not serve. */
  readonly checkHost: Guard;
}

/**
 * The documents from which clients learn where to get tokens for a route (RFC 9728 §3). Anybody may read them. The SDK's
 * `oauthMetadataResponse` does not serve: it throws at an issuer over http, writes the resource anew as a URL (with `/` for a bare origin),
 * knows neither `bearer_methods_supported` nor a lifetime, and checks no host.
 */
export function resourceDocuments(options: ResourceDocumentsOptions): Documents {
  const { issuer, scopes, checkHost, routes } = options;
  return (request, response) => {
    const [url = ""] = (request.url ?? "").split("?", 1);
    const path = url === WELL_KNOWN ? "/" : url.slice(WELL_KNOWN.length);
    if (!url.startsWith(WELL_KNOWN) || url === `${WELL_KNOWN}/` || !routes().has(path)) return false;
    response.setHeader("Access-Control-Allow-Origin", "*");
    try {
      checkHost(request, response);
      checkMethod(request);
      if (request.method === "OPTIONS") answerPreflight(response);
      else {
        const { resource } = resourceAddress(request, path, options) ?? {};
        if (resource === undefined) throw rpc.invalidRequest("Host does not say where it was sent to");
        answer(response, {
          resource,
          authorization_servers: [issuer],
          ...(scopes.length === 0 ? {} : { scopes_supported: scopes }),
          bearer_methods_supported: ["header"],
        });
      }
    } catch (error) {
      refuse(request, response, error);
    }
    return true;
  };
}

function answer(response: ServerResponse, metadata: object): void {
  const text = JSON.stringify(metadata);
  response.writeHead(200, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": `public, max-age=${MAX_AGE_SECONDS}`,
  });
  response.end(text);
}

/** The SDKs' clients name their revision here too, and so a browser sends a preflight. */
function answerPreflight(response: ServerResponse): void {
  response.writeHead(204, {
    "Access-Control-Allow-Methods": METHODS,
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "600",
  });
  response.end();
}

/** @throws HTTP 405 */
function checkMethod({ method = "" }: IncomingMessage): void {
  if (!METHODS.split(", ").includes(method)) throw rpc.methodNotAllowed(method, METHODS);
}

function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (!request.complete) response.setHeader("Connection", "close");
  const accepts = { json: true, stream: false };
  new HttpReply(response, { id: null, accepts, keepAliveMs: Number.POSITIVE_INFINITY }).error(
    toRpcError(error),
  );
}

/** A name or an address, and nothing that would make it another url. */
const FORWARDED_HOST = /(?:^|;)\s*host=(?:"([^"]*)"|([^;\s]*))/i;
const FORWARDED_PROTO = /(?:^|;)\s*proto=(?:"([^"]*)"|([^;\s]*))/i;
const PROTO = /^https?$/i;
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i;

function originOf(
  { headers, socket }: IncomingMessage,
  isTrusted: OwnAddress["isTrusted"],
): string | undefined {
  const said = isTrusted(socket.remoteAddress) ? saidByProxy(headers) : {};
  const { host = headers.host ?? "", proto = "encrypted" in socket ? "https" : "http" } = said;
  return HOST.test(host) ? `${proto}://${host}` : undefined;
}

/**
 * Where the client sent a request, as the proxy says that passed it on (RFC 7239 §5.3, §5.4, and what it replaces). Of several values the
 * last is that proxy's; what is none is as good as missing.
 */
function saidByProxy(headers: IncomingHttpHeaders): { readonly host?: string; readonly proto?: string } {
  const { forwarded } = headers;
  const last = (name: string) =>
    String(headers[name] ?? "")
      .split(",")
      .at(-1)
      ?.trim() ?? "";
  const parameter = (pattern: RegExp) => {
    const [, quoted, token] = pattern.exec(last("forwarded")) ?? [];
    return quoted ?? token ?? "";
  };
  const host = forwarded === undefined ? last("x-forwarded-host") : parameter(FORWARDED_HOST);
  const proto = forwarded === undefined ? last("x-forwarded-proto") : parameter(FORWARDED_PROTO);
  return {
    ...(HOST.test(host) ? { host } : {}),
    ...(PROTO.test(proto) ? { proto: proto.toLowerCase() } : {}),
  };
}
