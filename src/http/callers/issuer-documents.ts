import { Agent, type Dispatcher } from "undici";
import { isObject, type JsonObject, parseJson } from "../../protocol/jsonrpc.ts";
import { guardedConnector } from "../../upstream/transports/guarded-connections.ts";

/** Certificates may stand beside the keys; no document that belongs here is larger. */
const MAX_BYTES = 1_048_576;
const CONNECTING_MS = 5_000;

/** Statuses of a server that cannot answer now, but may soon. */
const BUSY: ReadonlySet<number> = new Set([408, 425, 429]);

/** The answer is not the document that was asked for: to ask again at once would change nothing. */
export class NoSuchDocument extends Error {
  override name = "NoSuchDocument";
}

export interface FetchOptions {
  readonly signal: AbortSignal;
  /** Whether the gateway may ask an address that another document names. Absent: it may ask every safe one. */
  readonly mayAsk?: ((url: URL) => boolean) | undefined;
}

/**
 * Finds the address of an issuer's keys in its metadata: those of RFC 8414, or of OpenID Connect Discovery, in the places where clients
 * look for them (2026-07-28, Authorization §Authorization Server Metadata Discovery).
 * @throws NoSuchDocument when none of them is there, or names it; another Error when one of them gave no answer
 */
export async function findKeysUrl(issuer: string, options: FetchOptions): Promise<URL> {
  const problems: unknown[] = [];
  for (const url of metadataUrls(issuer)) {
    try {
      return keysUrlIn(await fetchDocument(url, options), issuer);
    } catch (error) {
      options.signal.throwIfAborted();
      problems.push(error);
    }
  }
  const said = problems.map((error) => (error instanceof Error ? error.message : String(error)));
  const message = `nothing says where the issuer's keys are: ${said.join("; ")}`;
  throw problems.every((error) => error instanceof NoSuchDocument)
    ? new NoSuchDocument(message)
    : new Error(message);
}

/**
 * Reads a document that is a JSON object. Follows no redirects: the gateway believes of an issuer only what it says itself.
 * @throws NoSuchDocument for any other answer, or when the address may not be asked; another Error when there is no answer
 */
export async function fetchDocument(
  url: URL,
  { signal, mayAsk = () => true }: FetchOptions,
): Promise<JsonObject> {
  if (!mayAsk(url)) throw new NoSuchDocument(`${url.origin} is not asked, because of where it is`);
  // Used every few minutes at most: keep no connection open in between, or when the gateway stops.
  const agent = new Agent({ connect: guardedConnector(CONNECTING_MS) });
  try {
    const { origin, pathname, search } = url;
    const headers = { accept: "application/json", "accept-encoding": "identity" };
    const answer = agent.request({
      origin,
      path: pathname + search,
      method: "GET",
      headers,
      reset: true,
      signal,
    });
    return await documentIn(await answer, url);
  } finally {
    await agent.destroy();
  }
}

async function documentIn(
  { statusCode, headers, body }: Dispatcher.ResponseData,
  url: URL,
): Promise<JsonObject> {
  // A destroyed body emits an error, which would end the process without a listener.
  body.on("error", () => {});
  if (statusCode !== 200 || headers["content-encoding"] !== undefined) {
    body.destroy();
    const message = `${url.href} answered HTTP ${statusCode}, expected a plain 200`;
    throw statusCode >= 500 || BUSY.has(statusCode) ? new Error(message) : new NoSuchDocument(message);
  }
  const document = await readDocument(body, url);
  if (!isObject(document)) throw new NoSuchDocument(`${url.href} is no JSON object`);
  return document;
}

async function readDocument(body: AsyncIterable<Buffer>, url: URL): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new NoSuchDocument(`${url.href} is larger than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return parseJson(Buffer.concat(chunks).toString("utf8"));
}

function metadataUrls(issuer: string): readonly URL[] {
  if (!URL.canParse(issuer))
    throw new NoSuchDocument(`${issuer} is no url, and so callers.jwt.jwks is needed`);
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, "");
  const urls = new Set([
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]);
  return [...urls].map((url) => new URL(url));
}

/** @throws Error when the document is another issuer's (RFC 8414 §3.3), or names no address that can be believed */
function keysUrlIn({ issuer, jwks_uri: keysUri }: JsonObject, expected: string): URL {
  if (issuer !== expected)
    throw new NoSuchDocument(`the metadata are those of another issuer than ${expected}`);
  if (typeof keysUri !== "string" || !URL.canParse(keysUri))
    throw new NoSuchDocument("the metadata do not say where the keys are");
  const url = new URL(keysUri);
  // Anybody could have replaced keys that came over a connection which anybody can change.
  const isSafe = url.protocol === "https:" || (url.protocol === "http:" && !expected.startsWith("https:"));
  if (!isSafe)
    throw new NoSuchDocument(`the metadata name keys that are not to be had safely (${url.protocol})`);
  return url;
}
