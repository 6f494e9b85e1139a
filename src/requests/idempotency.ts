import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import canonicalize from "canonicalize";
import { rpc } from "../protocol/errors.ts";
import { isObject, type JsonObject, toJson } from "../protocol/jsonrpc.ts";
import { IDEMPOTENCY_META } from "../protocol/request-headers.ts";
import type { Exchange } from "./request.ts";

/** By which a client may send a `tools/call` again: everybody who sends the same call with the same key gets the same task. */
export interface IdempotencyKey {
  readonly key: string;
  /** Identifies what the client asks for. */
  readonly fingerprint: string;
}

type Request = Pick<Exchange, "caller" | "params"> & { readonly headers?: Exchange["headers"] | undefined };

const IDEMPOTENCY_KEY = "idempotency-key";
const MAX_CHARS = 255;
/** Where callers are not told apart, the key is all that protects the task: nobody guesses a UUID. */
const MIN_SECRET_CHARS = 16;
/** A Structured Field String (RFC 8941 §3.3.3), as draft-ietf-httpapi-idempotency-key-header wants the header. */
const QUOTED = /^"((?:[^"\\]|\\["\\])*)"$/;

/**
 * The key of a `tools/call`. `undefined`: it has none, or it answers questions and so belongs to a call already.
 * @throws -32602
 */
export function idempotencyKeyOf({ caller, params, headers }: Request): IdempotencyKey | undefined {
  const { name, arguments: args = {}, requestState, inputResponses } = params;
  const key = keyOf(params, headers?.[IDEMPOTENCY_KEY]);
  if (key === undefined || requestState !== undefined || inputResponses !== undefined) return undefined;
  if (!caller.isIdentified && key.length < MIN_SECRET_CHARS)
    throw rpc.invalidParams(
      `where callers are not told apart, an idempotency key must have at least ${MIN_SECRET_CHARS} characters, as a UUID has; got ${key.length}`,
    );
  return {
    key,
    fingerprint: createHash("sha256")
      .update(saidIn(toJson([name, args])))
      .digest("base64url"),
  };
}

/** The params of a 2025-11-25 call that is to be a task, with the header's key in `_meta`; any other params as they are. */
export function withIdempotencyKey(
  params: JsonObject,
  { [IDEMPOTENCY_KEY]: header }: IncomingHttpHeaders,
): JsonObject {
  const { task, _meta: meta = {} } = params;
  if (header === undefined || task === undefined || !isObject(meta) || meta[IDEMPOTENCY_META] !== undefined)
    return params;
  return { ...params, _meta: { ...meta, [IDEMPOTENCY_META]: unquoted(String(header)) } };
}

/** The same text for the same JSON, whatever the order of its members (RFC 8785). */
function saidIn(json: string): string {
  // Numbers that a double cannot tell apart are different all the same.
  return INEXACT.test(json) ? json : (canonicalize(JSON.parse(json)) ?? json);
}

const INEXACT = /\d{16}|\d[eE]/;

/** The key in the header or in `_meta`. @throws -32602 */
function keyOf({ _meta }: JsonObject, header: string | readonly string[] | undefined): string | undefined {
  const ofMeta = isObject(_meta) ? _meta[IDEMPOTENCY_META] : undefined;
  const [inHeader, inMeta] = [
    header === undefined ? undefined : check(unquoted(String(header)), "the header Idempotency-Key"),
    ofMeta === undefined ? undefined : check(ofMeta, `_meta["${IDEMPOTENCY_META}"]`),
  ];
  if (inHeader !== undefined && inMeta !== undefined && inHeader !== inMeta)
    throw rpc.invalidParams(`the header Idempotency-Key and _meta["${IDEMPOTENCY_META}"] must be the same`);
  return inHeader ?? inMeta;
}

function unquoted(value: string): string {
  const [, inside] = QUOTED.exec(value) ?? [];
  return inside === undefined ? value : inside.replace(/\\(.)/g, "$1");
}

function check(key: unknown, where: string): string {
  if (typeof key === "string" && key.length <= MAX_CHARS && /^[\x21-\x7e]+$/.test(key)) return key;
  const found = typeof key === "string" ? `${key.length} characters` : typeof key;
  throw rpc.invalidParams(`${where} must be 1 to ${MAX_CHARS} visible ASCII characters; got ${found}`);
}
