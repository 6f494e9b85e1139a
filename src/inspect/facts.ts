import type { JsonObject } from "../protocol/jsonrpc.ts";

/** What was found out about a server: what it said and what it did, and nothing that is guessed. */
export interface Facts {
  /** The URL without its query, or the command. */
  readonly target: string;
  readonly transport: FoundTransport;
  readonly server: Description;
  /** Present where it speaks 2026-07-28: the versions that it says it supports. */
  readonly modern?: { readonly versions: readonly string[]; readonly hasTasks: boolean };
  /** Present where it answers `initialize`. */
  readonly legacy?: LegacyFacts;
  readonly listed: ListFacts;
  /** Tools that are there only for clients which declare what servers may ask for, and only for those which do not. */
  readonly declared?: { readonly more: readonly string[]; readonly less: readonly string[] };
  readonly call?: CallFacts;
  /** What else there is to know, in sentences. */
  readonly remarks: readonly string[];
}

export type FoundTransport = "streamable-http" | "sse" | "stdio";

/** What a server says of itself, in either era. */
export interface Description {
  readonly name?: string;
  readonly version?: string;
  readonly capabilities: JsonObject;
  readonly instructions?: string;
}

export interface LegacyFacts {
  /** What `initialize` agreed upon when it was asked for the newest version. */
  readonly protocolVersion: string;
  readonly versions: readonly VersionFacts[];
  readonly answersPing: boolean;
  /** How long the process took to start and to answer `initialize`. Over stdio only. */
  readonly startMs?: number;
  /** Over Streamable HTTP only. */
  readonly http?: HttpFacts;
  /** Absent: it was not tried. */
  readonly secondSession?: SecondSession;
}

/** What became of `initialize` with one version. */
export interface VersionFacts {
  readonly asked: string;
  /** The same, if it accepts it. */
  readonly answered?: string;
  readonly refusal?: string;
  /** There was no answer at all. */
  readonly isLost?: boolean;
}

export interface SecondSession {
  /** `fatal`: a second was refused, and after that there was no other to be had either. */
  readonly verdict: "works" | "refused" | "ends the first" | "fatal";
  readonly reason?: string;
}

export interface HttpFacts {
  /** How it answers a request: as JSON, or as an event stream. */
  readonly answersAs: "json" | "stream";
  readonly hasSessions: boolean;
  /** The status for a request of a session that does not exist. */
  readonly unknownSession?: number;
  /** What it answers to GET; `undefined` when it keeps the head of the answer back. */
  readonly get: { readonly status?: number; readonly isStream: boolean };
  /** The status of the end of a session. */
  readonly delete?: number;
  /** Whether events have ids, so that a stream that was cut can be taken up again. */
  readonly eventIds: { readonly post: boolean; readonly get: boolean };
  readonly retryMs?: number;
}

export interface ListFacts {
  readonly tools: readonly ToolFacts[];
  readonly resources?: number;
  readonly resourceTemplates?: number;
  readonly prompts?: number;
  /** What could not be listed, and why. */
  readonly problems: readonly string[];
}

/** A tool with what it says of itself; absent where it says nothing. */
export interface ToolFacts {
  readonly name: string;
  readonly readOnlyHint?: boolean;
  readonly idempotentHint?: boolean;
  readonly destructiveHint?: boolean;
  readonly openWorldHint?: boolean;
  readonly taskSupport?: string;
  /** How many arguments are mirrored in headers; `invalid` when an `x-mcp-header` annotation breaks the rules. */
  readonly headerParams?: number | "invalid";
}

/** One call, and what it took; times are milliseconds since it was sent. */
export interface CallFacts {
  readonly tool: string;
  /** Until the server had taken it: over HTTP, the head of the answer. */
  readonly acceptedMs?: number;
  /** Until the first word about it, which may be the answer. */
  readonly firstWordMs?: number;
  readonly progress: { readonly count: number; readonly last?: string };
  readonly questions: readonly Question[];
  readonly endedMs: number;
  readonly end: CallEnd;
}

/** What the server asked in the course of a call, and how it was turned down. */
export interface Question {
  readonly method: string;
  readonly message?: string;
  readonly answer: string;
  readonly afterMs: number;
}

export type CallEnd =
  | { readonly kind: "result"; readonly bytes: number; readonly isError: boolean; readonly text?: string }
  | { readonly kind: "error"; readonly code: number; readonly message: string }
  | { readonly kind: "asks" }
  | { readonly kind: "task" }
  | { readonly kind: "late" }
  | { readonly kind: "failed"; readonly message: string };
