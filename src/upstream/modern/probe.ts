import type { Dispatcher } from "undici";
import {
  isObject,
  type JsonObject,
  type JsonRpcError,
  type JsonRpcResponse,
} from "../../protocol/jsonrpc.ts";
import { declaresTasks, envelopeOf, META, MODERN_VERSION } from "../../protocol/modern.ts";
import { toFailure, UpstreamFailure } from "../failure.ts";
import { nextRequestId } from "../request-ids.ts";
import { askModern } from "./request.ts";

/** A modern server's description of itself in its answer to `server/discover`. */
export interface ModernDescription {
  readonly supportedVersions: readonly string[];
  readonly capabilities: JsonObject;
  readonly serverInfo?: JsonObject;
  readonly instructions?: string;
}

/** The era of a server, which is unknown until the server has shown it. */
export type ProbeResult =
  /** The server speaks the gateway's revision. */
  | { readonly era: "modern"; readonly description: ModernDescription }
  /** The server is modern, but speaks other revisions only. */
  | { readonly era: "other"; readonly supportedVersions: readonly string[] }
  /** `refusal`: what it said to `server/discover`, if it said that in JSON-RPC. */
  | { readonly era: "legacy"; readonly refusal?: JsonRpcError }
  | { readonly era: "unknown"; readonly failure: UpstreamFailure; readonly isLate: boolean };

export interface ProbeOptions {
  readonly url: URL;
  /** The configured headers, and the caller's own that the gateway passes on. Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly dispatcher: Dispatcher;
  readonly clientInfo: { readonly name: string; readonly version: string };
  readonly timeoutMs?: number;
  /** Aborting it ends the probe. */
  readonly signal?: AbortSignal;
}

const TIMEOUT_MS = 5_000;
const MAX_ANSWER_BYTES = 1_048_576;
/** Refusals that say nothing about the era: the server wants a login, is busy, or is absent. */
const INDECISIVE: ReadonlySet<number> = new Set([401, 403, 407, 408, 425, 429]);

/**
 * Finds out the era of a Streamable HTTP server (2026-07-28, Streamable HTTP §Backward Compatibility): only a recognised modern answer
 * proves a modern server. Never rejects.
 */
export async function probe(options: ProbeOptions): Promise<ProbeResult> {
  const { url, headers, dispatcher, clientInfo, timeoutMs = TIMEOUT_MS } = options;
  const _meta = envelopeOf(clientInfo, {});
  const late = AbortSignal.timeout(timeoutMs);
  const signal = options.signal === undefined ? late : AbortSignal.any([late, options.signal]);
  try {
    const response = await askModern(
      { jsonrpc: "2.0", id: nextRequestId(), method: "server/discover", params: { _meta } },
      {
        url,
        headers,
        http: { dispatcher, maxMessageBytes: MAX_ANSWER_BYTES },
        signal,
        // A busy or absent server may refuse in JSON-RPC too.
        isAnswer: isDecisive,
      },
    );
    return judge(response);
  } catch (error) {
    if (!late.aborted) return judgeFailure(toFailure(error));
    const message = `The server did not answer server/discover within ${timeoutMs} ms`;
    return { era: "unknown", failure: new UpstreamFailure(message, { mayHaveRun: false }), isLate: true };
  }
}

/** Whether a server creates tasks itself (Tasks §Capability Negotiation). */
export function hasTasks({ capabilities }: ModernDescription): boolean {
  return declaresTasks(capabilities);
}

/** Reads a `DiscoverResult` (2026-07-28, Discovery). `undefined` when it is none. */
export function readDiscoverResult(result: JsonObject): ModernDescription | undefined {
  const { supportedVersions, capabilities, instructions, _meta } = result;
  if (!isStrings(supportedVersions) || !isObject(capabilities)) return undefined;
  const serverInfo = isObject(_meta) ? _meta[META.serverInfo] : undefined;
  return {
    supportedVersions,
    capabilities,
    ...(isObject(serverInfo) ? { serverInfo } : {}),
    ...(typeof instructions === "string" ? { instructions } : {}),
  };
}

/** Whether a refusal says something about the era. */
function isDecisive({ facts: { status } }: UpstreamFailure): boolean {
  return status !== undefined && status >= 400 && status < 500 && !INDECISIVE.has(status);
}

function judge(response: JsonRpcResponse): ProbeResult {
  if ("error" in response) return judgeError(response.error);
  const description = readDiscoverResult(response.result);
  if (description === undefined) return { era: "legacy" };
  const { supportedVersions } = description;
  return supportedVersions.includes(MODERN_VERSION)
    ? { era: "modern", description }
    : { era: "other", supportedVersions };
}

/** Recognises the three errors that only a modern server sends (2026-07-28, Overview §Error Codes). */
function judgeError(refusal: JsonRpcError): ProbeResult {
  const { code, data } = refusal;
  const { supported, requiredCapabilities } = isObject(data) ? data : {};
  if (code === -32022 && isStrings(supported)) return { era: "other", supportedVersions: supported };
  if (code === -32020 || (code === -32021 && isObject(requiredCapabilities)))
    return { era: "modern", description: UNDESCRIBED };
  return { era: "legacy", refusal };
}

/** A modern server that did not describe itself. */
const UNDESCRIBED: ModernDescription = { supportedVersions: [MODERN_VERSION], capabilities: {} };

function judgeFailure(failure: UpstreamFailure): ProbeResult {
  // A server that answers without JSON-RPC has at least answered.
  const isNonsense = failure.facts.cause instanceof SyntaxError;
  return isDecisive(failure) || isNonsense ? { era: "legacy" } : { era: "unknown", failure, isLate: false };
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
