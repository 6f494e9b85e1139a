import { SdkError, SdkErrorCode } from "@modelcontextprotocol/client";
import type { JsonRpcError } from "../protocol/jsonrpc.ts";

export interface FailureFacts {
  /** Whether the server may have begun the work: then the request must never be sent again. */
  readonly mayHaveRun: boolean;
  /** The HTTP status the server refused with, if it did. */
  readonly status?: number;
  /** How the server wants callers to identify themselves, with a 401 or 403. */
  readonly wwwAuthenticate?: string;
  /** The JSON-RPC error in the body of a refusal. */
  readonly rpcError?: JsonRpcError;
  readonly cause?: unknown;
}

/** The server gave no JSON-RPC answer to a request. The message says what happened, in words a client may be told. */
export class UpstreamFailure extends Error {
  override name = "UpstreamFailure";
  readonly facts: FailureFacts;

  constructor(message: string, facts: FailureFacts) {
    super(message, { cause: facts.cause });
    this.facts = facts;
  }
}

/** No bytes of the request can have reached the server. */
const NEVER_CONNECTED = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** Any error of the transport as an `UpstreamFailure`. */
export function toFailure(caught: unknown): UpstreamFailure {
  for (let error = caught; error instanceof Error; error = error.cause) {
    if (error instanceof UpstreamFailure) return error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== undefined && NEVER_CONNECTED.has(code)) {
      return new UpstreamFailure(`The server cannot be reached (${code})`, {
        mayHaveRun: false,
        cause: caught,
      });
    }
  }
  if (caught instanceof SyntaxError || (caught instanceof Error && caught.name === "ZodError")) {
    return new UpstreamFailure("The server's answer is not a JSON-RPC message", {
      mayHaveRun: true,
      cause: caught,
    });
  }
  if (caught instanceof SdkError && caught.code === SdkErrorCode.ClientHttpUnexpectedContent) {
    return new UpstreamFailure(`The server's answer is no JSON: ${caught.message}`, {
      mayHaveRun: true,
      cause: caught,
    });
  }
  const detail = caught instanceof Error ? rootMessage(caught) : String(caught);
  return new UpstreamFailure(`The connection to the server broke: ${detail}`, {
    mayHaveRun: true,
    cause: caught,
  });
}

function rootMessage(error: Error): string {
  return error.cause instanceof Error ? rootMessage(error.cause) : error.message;
}
