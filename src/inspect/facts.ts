import type { JsonObject } from "../protocol/jsonrpc.ts";

/** What `inspect` found out about a server: what the server said and did, without guesses. A field is absent where there is nothing to say. */
export interface Facts {
  /** The URL without its query, or the command. */
  readonly target: string;
  readonly transport: FoundTransport;
  readonly server: Description;
  /** Present if the server speaks 2026-07-28: the versions that it says it supports. */
  readonly modern?: { readonly versions: readonly string[]; readonly hasTasks: boolean } | undefined;
  /** Present if the server answers `initialize`. */
  readonly legacy?: LegacyFacts | undefined;
  readonly listed: ListFacts;
  /** Tools listed only for clients that declare everything a server may ask for, and only for clients that declare nothing. */
  readonly declared?: { readonly more: readonly string[]; readonly less: readonly string[] } | undefined;
  readonly call?: CallFacts | undefined;
  /** Further findings, in sentences. */
  readonly remarks: readonly string[];
}

type FoundTransport = "streamable-http" | "sse" | "stdio";

/** A server's description of itself, in either era. */
export interface Description {
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  readonly capabilities: JsonObject;
  readonly instructions?: string | undefined;
}

export interface LegacyFacts {
  /** The version that `initialize` agreed on when asked for the newest. */
  readonly protocolVersion: string;
  readonly versions: readonly VersionFacts[];
  readonly answersPing: boolean;
  /** How long the process took to start and to answer `initialize`. Over stdio only. */
  readonly startMs?: number | undefined;
  /** Over Streamable HTTP only. */
  readonly http?: HttpFacts | undefined;
  /** Absent: not tried. */
  readonly secondSession?: SecondSession | undefined;
}

/** The outcome of `initialize` with one version. */
export interface VersionFacts {
  readonly asked: string;
  /** The same version, if the server accepts it. */
  readonly answered?: string | undefined;
  readonly refusal?: string | undefined;
  /** No answer came. */
  readonly isLost?: boolean | undefined;
}

export interface SecondSession {
  /** `fatal`: the server refused a second session, and any other after that. */
  readonly outcome: "works" | "refused" | "ends the first" | "fatal";
  readonly reason?: string | undefined;
}

export interface HttpFacts {
  /** Whether the server answers a request as JSON or as an event stream. */
  readonly answersAs: "json" | "stream";
  readonly hasSessions: boolean;
  /** The status for a request of a session that does not exist. */
  readonly unknownSession?: number | undefined;
  /** The response to GET. No `status`: the server sent no response headers in time. */
  readonly get: { readonly status?: number | undefined; readonly isStream: boolean };
  /** The status of the DELETE that ends a session. */
  readonly delete?: number | undefined;
  /** Whether events have ids, so that a stream that was cut can be resumed. */
  readonly eventIds: { readonly post: boolean; readonly get: boolean };
  readonly retryMs?: number | undefined;
}

export interface ListFacts {
  readonly tools: readonly ToolFacts[];
  readonly resources?: number | undefined;
  readonly resourceTemplates?: number | undefined;
  readonly prompts?: number | undefined;
  /** Lists that failed, and why. */
  readonly problems: readonly string[];
}

/** A tool and its annotations; absent where it has none. */
export interface ToolFacts {
  readonly name: string;
  readonly readOnlyHint?: boolean | undefined;
  readonly idempotentHint?: boolean | undefined;
  readonly destructiveHint?: boolean | undefined;
  readonly openWorldHint?: boolean | undefined;
  readonly taskSupport?: string | undefined;
  /** How many arguments are mirrored in headers; `invalid` when an `x-mcp-header` annotation breaks the rules. */
  readonly headerParams?: number | "invalid" | undefined;
}

/** One measured call; times are milliseconds since it was sent. */
export interface CallFacts {
  readonly tool: string;
  /** Until the server accepted the call: over HTTP, the response headers. */
  readonly acceptedMs?: number | undefined;
  /** Until the first message about the call, which may be the answer. */
  readonly firstWordMs?: number | undefined;
  readonly progress: { readonly count: number; readonly last?: string | undefined };
  readonly questions: readonly Question[];
  readonly endedMs: number;
  readonly end: CallEnd;
}

/** A question of the server during a call, and how `inspect` refused it. */
export interface Question {
  readonly method: string;
  readonly message?: string | undefined;
  readonly answer: string;
  readonly afterMs: number;
}

export type CallEnd =
  | {
      readonly kind: "result";
      readonly bytes: number;
      readonly isError: boolean;
      readonly text?: string | undefined;
    }
  | { readonly kind: "error"; readonly code: number; readonly message: string }
  | { readonly kind: "asks" }
  | { readonly kind: "task" }
  | { readonly kind: "late" }
  | { readonly kind: "failed"; readonly message: string };
