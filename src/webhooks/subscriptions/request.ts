import { isIP } from "node:net";
import type { EventsErrors } from "../../protocol/events.ts";
import { isObject, type JsonObject } from "../../protocol/jsonrpc.ts";
import { isLoopback } from "../../protocol/loopback.ts";
import { type EventFilter, readFilter, TASK_UPDATED } from "./event.ts";
import { bareHost } from "./guarded-agent.ts";
import { isPublicAddress } from "./public-address.ts";

/** What a client asks for with `events/subscribe`. */
export interface SubscribeRequest {
  readonly url: URL;
  readonly secret: string;
  readonly filter: EventFilter;
  /** For how long; `undefined`: as long as is usual, `null`: for ever. Milliseconds. */
  readonly ttlMs: number | null | undefined;
  /** Whether it wants what has happened since some moment, which the gateway does not keep. */
  readonly wantsReplay: boolean;
}

/** What tells one subscription of a caller from another. */
export type SubscriptionKey = Pick<SubscribeRequest, "url" | "filter">;

export interface Reading {
  readonly errors: EventsErrors;
  /** As for `guardedAgent`. */
  readonly allowedHosts: ReadonlySet<string>;
}

const MAX_URL_CHARS = 2_000;
const [MIN_SECRET_BYTES, MAX_SECRET_BYTES] = [24, 64];

/** @throws RpcError */
export function readSubscribe(params: JsonObject, reading: Reading): SubscribeRequest {
  const { errors } = reading;
  const { ttlMs, cursor, maxAgeMs } = params;
  const key = readKey(params, reading);
  const { secret } = isObject(params.delivery) ? params.delivery : {};
  if (!isSecret(secret))
    throw errors.invalidParams(
      `delivery.secret must be whsec_ and base64 of ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes`,
    );
  if (ttlMs !== undefined && ttlMs !== null && !isCount(ttlMs, 1))
    throw errors.invalidParams("ttlMs must be a whole number of milliseconds, 1 or more, or null");
  if (maxAgeMs !== undefined && maxAgeMs !== null && !isCount(maxAgeMs, 0))
    throw errors.invalidParams("maxAgeMs must be a whole number of milliseconds");
  if (cursor !== undefined && cursor !== null && typeof cursor !== "string")
    throw errors.invalidParams("cursor must be a text or null");
  return { ...key, secret, ttlMs, wantsReplay: typeof cursor === "string" };
}

/** @throws RpcError */
export function readKey(params: JsonObject, reading: Reading): SubscriptionKey {
  const { errors } = reading;
  const { name, arguments: given, delivery } = params;
  if (typeof name !== "string") throw errors.invalidParams("name must be a text");
  if (name !== TASK_UPDATED) throw errors.notFound("event");
  if (!isObject(delivery)) throw errors.invalidParams("delivery must be an object");
  const { mode = "webhook", url } = delivery;
  if (typeof mode !== "string") throw errors.invalidParams("delivery.mode must be a text");
  if (mode !== "webhook") throw errors.unsupported("delivery.mode", mode);
  return { url: readUrl(url, reading), filter: readFilter(given, errors) };
}

function readUrl(given: unknown, { errors, allowedHosts }: Reading): URL {
  const fault = (what: string) => errors.invalidParams(`delivery.url must ${what}`);
  if (typeof given !== "string" || given.length > MAX_URL_CHARS || !URL.canParse(given))
    throw fault(`be an https URL of at most ${MAX_URL_CHARS} characters`);
  const url = new URL(given);
  const host = bareHost(url.hostname);
  const isAllowed = allowedHosts.has(host);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isAllowed && isLoopback(host)))
    throw fault("be https");
  if (url.username !== "" || url.password !== "") throw fault("contain no user and no password");
  if (url.hash !== "") throw fault("have no fragment");
  if (!isAllowed && (isLoopback(host) || (isIP(host) !== 0 && !isPublicAddress(host))))
    throw fault("name a host with a public address");
  return url;
}

function isCount(given: unknown, min: number): given is number {
  return typeof given === "number" && Number.isSafeInteger(given) && given >= min;
}

function isSecret(given: unknown): given is string {
  if (typeof given !== "string" || !given.startsWith("whsec_")) return false;
  const encoded = given.slice("whsec_".length);
  const bytes = Buffer.from(encoded, "base64");
  const { length } = bytes;
  return bytes.toString("base64") === encoded && length >= MIN_SECRET_BYTES && length <= MAX_SECRET_BYTES;
}
