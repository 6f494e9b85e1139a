import { isObject, type JsonObject } from "./jsonrpc.ts";
import { type ClientCapabilities, META, TASKS_EXTENSION } from "./modern.ts";

/** The revisions with an `initialize` handshake, newest first. */
export const LEGACY_VERSIONS: readonly string[] = [
  "2025-11-25",
  "2025-06-18",
  "2025-03-26",
  "2024-11-05",
  "2024-10-07",
];
export const LATEST_LEGACY_VERSION = "2025-11-25";
/** The first revision with tasks, and the last with a handshake. */
export const TASKS_2025 = "2025-11-25";

/** How many messages a batch of 2025-03-26 may have, which sets no limit itself: each gets an answer of its own. */
export const MAX_BATCH = 100;

/** A legacy server's way to ask for a URL elicitation before it begins (2025-11-25, Elicitation §URL Mode). */
export const URL_ELICITATION_REQUIRED = -32042;

/**
 * What a modern caller declared, as a legacy session declares it: the same, without tasks (the gateway's own affair) and
 * without promises that the gateway cannot keep. Equal declarations give equal objects, key order included.
 */
export function legacyCapabilities({
  tasks: _,
  extensions,
  roots,
  elicitation,
  ...rest
}: ClientCapabilities): JsonObject {
  const { [TASKS_EXTENSION]: _ours, ...others } = isObject(extensions) ? extensions : {};
  return sorted({
    ...rest,
    // A modern request has no way to say later that the list has changed.
    ...(isObject(roots) ? { roots: {} } : {}),
    // An empty object has meant form mode since there was only one (2026-07-28, Elicitation §Capabilities).
    ...(isObject(elicitation)
      ? { elicitation: Object.keys(elicitation).length === 0 ? { form: {} } : elicitation }
      : {}),
    ...(Object.keys(others).length === 0 ? {} : { extensions: others }),
  });
}

const ENVELOPE_KEYS: readonly string[] = [
  META.protocolVersion,
  META.clientInfo,
  META.clientCapabilities,
  META.logLevel,
  "progressToken",
];
/** Fields of a modern request that a legacy server does not know and that were meant for us. */
const OURS: readonly string[] = ["inputResponses", "requestState", "task"];

/** The params of a modern call as a legacy server gets them: without the envelope, and with all that we do not know. */
export function legacyParams(params: JsonObject): JsonObject {
  return omit(withoutEnvelope(params), OURS);
}

/** The params of a request that is not ours to understand, without the envelope. */
export function withoutEnvelope(params: JsonObject): JsonObject {
  if (!isObject(params._meta)) return params;
  const meta = omit(params._meta, ENVELOPE_KEYS);
  return Object.keys(meta).length === 0 ? omit(params, ["_meta"]) : { ...params, _meta: meta };
}

/**
 * A legacy server's result as a modern client may see it. What it calls the result's type means nothing in its revision, and would have
 * the client answer questions that nobody has checked, or ask after a task that there is not.
 */
export function ofNoType(result: JsonObject): JsonObject {
  return result.resultType === undefined || result.resultType === "complete"
    ? result
    : omit(result, ["resultType"]);
}

/** Something a server may ask the client for, and the capability the client has to declare for it. */
export function requiredCapability(
  method: string,
  params: JsonObject | undefined,
): ClientCapabilities | undefined {
  switch (method) {
    case "elicitation/create":
      return { elicitation: params?.mode === "url" ? { url: {} } : { form: {} } };
    case "sampling/createMessage":
      return { sampling: params?.tools === undefined ? {} : { tools: {} } };
    case "roots/list":
      return { roots: {} };
    default:
      return undefined;
  }
}

/** Whether `declared`, as a session declares it, contains everything in `required`. */
export function isDeclared(declared: unknown, required: unknown): boolean {
  if (!isObject(required)) return true;
  if (!isObject(declared)) return false;
  return Object.entries(required).every(
    ([key, value]) => Object.hasOwn(declared, key) && isDeclared(declared[key], value),
  );
}

function omit(object: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

function sorted(value: JsonObject): JsonObject {
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, isObject(inner) ? sorted(inner) : inner]));
}
