import { type RpcError, rpc } from "./errors.ts";
import {
  isObject,
  isRequestId,
  type JsonObject,
  type JsonRpcRequest,
  type JsonText,
  toJson,
} from "./jsonrpc.ts";

/** The revision that the gateway speaks to modern clients. */
export const MODERN_VERSION = "2026-07-28";
export const MODERN_VERSIONS: readonly string[] = [MODERN_VERSION];
export const TASKS_EXTENSION = "io.modelcontextprotocol/tasks";

export const META = {
  protocolVersion: "io.modelcontextprotocol/protocolVersion",
  clientInfo: "io.modelcontextprotocol/clientInfo",
  clientCapabilities: "io.modelcontextprotocol/clientCapabilities",
  logLevel: "io.modelcontextprotocol/logLevel",
  serverInfo: "io.modelcontextprotocol/serverInfo",
  subscriptionId: "io.modelcontextprotocol/subscriptionId",
  relatedTask: "io.modelcontextprotocol/related-task",
} as const;

const LOG_LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface ClientCapabilities extends JsonObject {
  readonly elicitation?: JsonObject;
  readonly sampling?: JsonObject;
  readonly roots?: JsonObject;
  readonly extensions?: JsonObject;
}

const CAPABILITIES = ["elicitation", "sampling", "roots", "extensions", "experimental"] as const;

/** A program as it introduces itself (Implementation). */
export interface ProgramInfo extends JsonObject {
  readonly name: string;
  readonly version: string;
  readonly title?: string;
}

/** What every modern request says about its sender in `params._meta` (2026-07-28, Overview §_meta). */
export interface Envelope {
  readonly protocolVersion: string;
  readonly capabilities: ClientCapabilities;
  /** Absent if the client does not say, or not in so many words. */
  readonly client?: ProgramInfo | undefined;
  readonly progressToken?: string | number | undefined;
  readonly logLevel?: LogLevel | undefined;
}

/**
 * Reads the envelope of a modern request.
 * @throws -32602 with HTTP 400 when a required field is missing or malformed
 */
export function readEnvelope(params: JsonObject | undefined): Envelope {
  const meta = params?._meta;
  if (!isObject(meta)) throw rpc.invalidMeta("params._meta is required");
  const protocolVersion = meta[META.protocolVersion];
  if (typeof protocolVersion !== "string")
    throw rpc.invalidMeta(`_meta["${META.protocolVersion}"] must be a string`);
  const capabilities = meta[META.clientCapabilities];
  if (!isObject(capabilities)) throw rpc.invalidMeta(`_meta["${META.clientCapabilities}"] must be an object`);
  for (const name of CAPABILITIES) {
    if (capabilities[name] !== undefined && !isObject(capabilities[name]))
      throw rpc.invalidMeta(`_meta["${META.clientCapabilities}"].${name} must be an object`);
  }
  const clientInfo = meta[META.clientInfo];
  if (clientInfo !== undefined && !isObject(clientInfo))
    throw rpc.invalidMeta(`_meta["${META.clientInfo}"] must be an object`);
  const progressToken = meta.progressToken;
  if (progressToken !== undefined && !isRequestId(progressToken)) {
    throw rpc.invalidMeta("_meta.progressToken must be a string or an integer");
  }
  const logLevel = meta[META.logLevel];
  if (logLevel !== undefined && !isLogLevel(logLevel)) {
    throw rpc.invalidMeta(`_meta["${META.logLevel}"] must be one of ${LOG_LEVELS.join(", ")}`);
  }
  return { protocolVersion, capabilities, client: programIn(clientInfo), progressToken, logLevel };
}

/** Names and versions are short; sessions are kept apart by them. */
const MAX_PROGRAM_CHARS = 200;

/** The program that a `clientInfo` names. `undefined`: none that could be told to a server. */
export function programIn(clientInfo: unknown): ProgramInfo | undefined {
  if (!isObject(clientInfo)) return undefined;
  const { name, version, title } = clientInfo;
  if (!isShort(name) || !isShort(version)) return undefined;
  return { name, version, ...(isShort(title) ? { title } : {}) };
}

function isShort(text: unknown): text is string {
  return typeof text === "string" && text.length <= MAX_PROGRAM_CHARS;
}

/**
 * How a program introduces itself on behalf of another: by that one's name and version, to which servers adapt, and with its own behind
 * the title, which is for people.
 */
export function onBehalfOf(client: ProgramInfo | undefined, own: ProgramInfo): ProgramInfo {
  if (client === undefined) return own;
  const { title = client.name, ...rest } = client;
  return { title: `${title} (via ${own.name} ${own.version})`, ...rest };
}

/** The `_meta` with which a client describes itself in every request. */
export function envelopeOf(clientInfo: JsonObject, capabilities: JsonObject): JsonObject {
  return {
    [META.protocolVersion]: MODERN_VERSION,
    [META.clientInfo]: clientInfo,
    [META.clientCapabilities]: capabilities,
  };
}

/** A server's capabilities plus the Tasks extension, which the gateway provides (Tasks §Capability Negotiation). */
export function withTasks(capabilities: JsonObject): JsonObject {
  const { extensions } = capabilities;
  return {
    ...capabilities,
    extensions: { ...(isObject(extensions) ? extensions : {}), [TASKS_EXTENSION]: {} },
  };
}

export function declaresTasks(capabilities: ClientCapabilities): boolean {
  return isObject(capabilities.extensions) && isObject(capabilities.extensions[TASKS_EXTENSION]);
}

/** For a client that does not declare tasks, where only a task can go on. */
export function tasksNeeded(): RpcError {
  return rpc.missingCapability({ extensions: { [TASKS_EXTENSION]: {} } });
}

/**
 * The params of a gateway's call to a modern server: the client's, without its progress token, which belongs to the client's own request,
 * and without the Tasks extension, which the gateway handles itself.
 */
export function callParams(params: JsonObject): JsonObject {
  const { progressToken: _, ...meta } = isObject(params._meta) ? params._meta : {};
  const declared = meta[META.clientCapabilities];
  if (!isObject(declared) || !isObject(declared.extensions)) return { ...params, _meta: meta };
  const { [TASKS_EXTENSION]: _ours, ...extensions } = declared.extensions;
  const { extensions: _all, ...others } = declared;
  const capabilities = Object.keys(extensions).length === 0 ? others : { ...others, extensions };
  return { ...params, _meta: { ...meta, [META.clientCapabilities]: capabilities } };
}

/** Whether a log message is at or above the level that the request asked for (2026-07-28, Logging §Per-request log level). */
export function isLogged(level: unknown, wanted: LogLevel | undefined): boolean {
  if (wanted === undefined) return false;
  return !isLogLevel(level) || LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(wanted);
}

/** Identifies the server in every result. */
export type ServerInfo = JsonObject;

/** Adds what 2026-07-28 requires in every result: `resultType` and the server's info (Overview §Per-response protocol fields). */
export function modernResult(result: JsonObject, serverInfo: ServerInfo | undefined): JsonObject {
  const { [META.relatedTask]: _legacy, ...meta } = isObject(result._meta) ? result._meta : {};
  const identified = serverInfo === undefined ? meta : { [META.serverInfo]: serverInfo, ...meta };
  return { resultType: "complete", ...result, _meta: identified };
}

/** Adds cache hints to a result (2026-07-28, Caching). Never `public`: the result may depend on the caller's credential. */
export function withCacheHints(result: JsonObject): JsonObject {
  const { ttlMs } = result;
  const isFresh = Number.isSafeInteger(ttlMs) && Number(ttlMs) > 0;
  return { ...result, ttlMs: isFresh ? ttlMs : 0, cacheScope: "private" };
}

/** The text of a JSON-RPC result response. */
export function resultMessage(id: JsonRpcRequest["id"], result: JsonText): JsonText {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}` as JsonText;
}

/** The text of a JSON-RPC error response; the id is `null` only when the request's id is unreadable. */
export function errorMessage(id: JsonRpcRequest["id"] | null, error: unknown): JsonText {
  return toJson({ jsonrpc: "2.0", id, error });
}

export function isLogLevel(value: unknown): value is LogLevel {
  return LOG_LEVELS.some((level) => level === value);
}
