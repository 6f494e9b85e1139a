import { Agent } from "undici";
import type { JsonObject } from "../../protocol/jsonrpc.ts";
import { isLoopback } from "../../protocol/loopback.ts";
import { guardedConnector } from "../../upstream/transports/guarded-connections.ts";
import { fetchDocument, NoSuchDocument } from "./issuer-documents.ts";

/** A server's own statement of the tokens that it takes. */
export interface ServerMetadata {
  /** Their issuers, exactly as the server writes them. */
  readonly issuers: readonly string[];
  /** The server's name for itself (RFC 9728 §2), which tokens for it name as their audience. */
  readonly resource?: string;
}

const PROTECTED_RESOURCE = "/.well-known/oauth-protected-resource";
const AUTHORIZATION_SERVER = "/.well-known/oauth-authorization-server";
/** If a server names more, only the first ones count. */
const MAX_ISSUERS = 8;
const CONNECTING_MS = 5_000;

/**
 * Finds out whose tokens a server takes, in the order of 2025-11-25, Authorization §Protected Resource Metadata Discovery: its protected
 * resource metadata (RFC 9728) at the well-known addresses, then at the address in its challenge; and if it has none, as servers of
 * 2025-03-26, the authorization server metadata at its own origin. Asks only the configured origin, without credentials: behind a gateway
 * the server's documents name the gateway's address. The SDK's `discoverOAuthProtectedResourceMetadata` does not serve: its errors do not
 * tell a server that has no such document from one that gave no answer.
 * @returns undefined when the server states nothing
 * @throws Error when there was no answer
 */
export async function readServerMetadata(
  server: URL,
  signal: AbortSignal,
): Promise<ServerMetadata | undefined> {
  const path = server.pathname.replace(/\/$/, "");
  for (const suffix of new Set([path, ""])) {
    const document = await documentAt(new URL(`${server.origin}${PROTECTED_RESOURCE}${suffix}`), signal);
    if (document !== undefined) return protectedResource(document);
  }
  const named = await challengedMetadata(server, signal);
  const challenged = named && (await documentAt(named, signal));
  if (challenged !== undefined) return protectedResource(challenged);
  const own = await documentAt(new URL(AUTHORIZATION_SERVER, server.origin), signal);
  return typeof own?.issuer === "string" ? { issuers: [own.issuer] } : undefined;
}

/**
 * Whether the gateway may ask an address that a server's metadata name: over https, or over http if the operator configured the same origin
 * or both are on this machine. No other machine may make the gateway ask this machine, or its link (RFC 3927).
 */
export function mayAskFor(server: URL): (url: URL) => boolean {
  const isLocal = isLoopback(server.hostname);
  return (url) => {
    if (url.username !== "" || url.password !== "") return false;
    if (url.origin === server.origin) return true;
    if (isLoopback(url.hostname)) return isLocal;
    return url.protocol === "https:" && !IS_LINK_LOCAL.test(url.hostname);
  };
}

/** Also the address "any", which most systems take for loopback. A URL writes IPv4 within IPv6 in hexadecimal. */
const IS_LINK_LOCAL = /^(?:169\.254\.|0\.0\.0\.0$|\[::\]$|\[fe[89ab]|\[::ffff:(?:a9fe:|0:0\]))/i;

async function documentAt(url: URL, signal: AbortSignal): Promise<JsonObject | undefined> {
  try {
    return await fetchDocument(url, { signal });
  } catch (error) {
    if (error instanceof NoSuchDocument) return undefined;
    throw error;
  }
}

function protectedResource({ authorization_servers: given, resource }: JsonObject): ServerMetadata {
  const issuers = Array.isArray(given) ? given.filter((each) => typeof each === "string") : [];
  return {
    issuers: issuers
      .filter((issuer) => /^https?:/i.test(issuer) && URL.canParse(issuer))
      .slice(0, MAX_ISSUERS),
    ...(typeof resource === "string" ? { resource } : {}),
  };
}

/** `resource_metadata` of the challenge (RFC 9728 §5.1), at the server's own origin. HEAD, because a GET may open a stream. */
async function challengedMetadata(server: URL, signal: AbortSignal): Promise<URL | undefined> {
  const agent = new Agent({ connect: guardedConnector(CONNECTING_MS) });
  try {
    const { origin, pathname, search } = server;
    const answer = await agent.request({
      origin,
      path: pathname + search,
      method: "HEAD",
      headers: { accept: "application/json, text/event-stream" },
      reset: true,
      signal,
    });
    answer.body.on("error", () => {}).destroy();
    const challenge = String(answer.headers["www-authenticate"] ?? "");
    const [, named = ""] = /\bresource_metadata="([^"]{1,2048})"/i.exec(challenge) ?? [];
    if (answer.statusCode !== 401 || !URL.canParse(named)) return undefined;
    const url = new URL(named);
    return new URL(`${origin}${url.pathname}${url.search}`);
  } finally {
    await agent.destroy();
  }
}
