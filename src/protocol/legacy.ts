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
/** The first revision with tasks, and the last with an `initialize` handshake. */
export const TASKS_2025 = "2025-11-25";

/** How many messages a batch may have. 2025-03-26 sets no limit, but each message gets an answer of its own. */
export const MAX_BATCH = 100;

/** A legacy server's error code that asks for a URL elicitation before it begins (2025-11-25, Elicitation §URL Mode). */
export const URL_ELICITATION_REQUIRED = -32042;

/** Whether a client's `initialize` declares tasks: those of 2025-11-25, or the extension of 2026-07-28. */
export function declaresAnyTasks(capabilities: unknown): boolean {
  if (!isObject(capabilities)) return false;
  const { tasks, extensions } = capabilities;
  return isObject(tasks) || (isObject(extensions) && isObject(extensions[TASKS_EXTENSION]));
}

/**
 * A client's capabilities as the gateway declares them to a server of the other era: without tasks, which the gateway handles itself, and
 * without promises that it cannot keep. Equal declarations give equal objects, including the key order.
 */
export function bridgedCapabilities({
  tasks: _,
  extensions,
  roots,
  elicitation,
  ...rest
}: ClientCapabilities): JsonObject {
  const { [TASKS_EXTENSION]: _ours, ...others } = isObject(extensions) ? extensions : {};
  return sorted({
    ...rest,
    // Without `listChanged`: 2026-07-28 has no way to say later that the list has changed.
    ...(isObject(roots) ? { roots: {} } : {}),
    // An empty object means form mode, once the only one (2026-07-28, Elicitation §Capabilities).
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
/** Fields of a modern request that are for the gateway and that a legacy server does not know. */
const OURS: readonly string[] = ["inputResponses", "requestState", "task"];

/** The params of a modern call for a legacy server: without the envelope and the gateway's own fields, with all unknown ones. */
export function legacyParams(params: JsonObject): JsonObject {
  return omit(withoutEnvelope(params), OURS);
}

/** The params of a request that the gateway only forwards, without the envelope. */
export function withoutEnvelope(params: JsonObject): JsonObject {
  if (!isObject(params._meta)) return params;
  const meta = omit(params._meta, ENVELOPE_KEYS);
  return Object.keys(meta).length === 0 ? omit(params, ["_meta"]) : { ...params, _meta: meta };
}

/**
 * A legacy server's result for a modern client, without a `resultType` other than `complete`. The field means nothing in the server's
 * revision, and would make the client answer questions that the gateway has not checked, or poll a task that does not exist.
 */
export function ofNoType(result: JsonObject): JsonObject {
  return result.resultType === undefined || result.resultType === "complete"
    ? result
    : omit(result, ["resultType"]);
}

/** The capability that a client must declare for a request of the server; `undefined`: none. */
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

/** Whether a session's declared capabilities contain everything in `required`. */
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
