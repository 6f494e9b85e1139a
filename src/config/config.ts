import type { KeyObject } from "node:crypto";

/**
 * The configuration after everything is decided: no text to parse, no default to look up, units in the names.
 * The rest of the program sees these types and never the file they came from.
 */
export interface Config {
  readonly listen: ListenConfig;
  /** Health and metrics; nothing listens there unless it is given. */
  readonly admin?: { readonly host: string; readonly port: number };
  readonly store: {
    /** As `parseStoreUrl` takes it; may contain a password. */
    readonly url: string;
    /** These four are for servers that several gateways share. */
    readonly leaseMs: number;
    readonly timeoutMs: number;
    readonly prefix: string;
    /** Certificates and keys as PEM. */
    readonly tls?: {
      readonly ca?: string;
      readonly cert?: string;
      readonly key?: string;
      readonly servername?: string;
    };
    /** Of 32 bytes each; the first one writes. Absent: what is stored is not encrypted. */
    readonly encryptionKeys?: readonly KeyObject[];
    /** With keys: whether what is not encrypted is believed. */
    readonly acceptsPlaintext?: boolean;
  };
  readonly callers: CallersConfig;
  readonly limits: LimitsConfig;
  readonly log: LogConfig;
  readonly servers: readonly ServerConfig[];
}

export interface ListenConfig {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Host names without a port. Absent: the listener decides from the address it is bound to. */
  readonly allowedHosts?: readonly string[];
  /** Origins as a browser sends them, e.g. `https://app.example`. */
  readonly allowedOrigins: readonly string[];
  /** The origin by which clients know the gateway. Absent: the one that their requests are addressed to. */
  readonly publicUrl?: string;
}

/** How callers are told apart. */
export type CallersConfig =
  | AnonymousCallersConfig
  | CredentialCallersConfig
  | HeaderCallersConfig
  | JwtCallersConfig;

interface BehindProxies {
  /** Addresses and networks (`10.0.0.0/8`, `::1`) from which what proxies say in headers is believed. Absent: none. */
  readonly trustedProxies?: readonly string[];
}

/** Callers are not told apart. */
export interface AnonymousCallersConfig extends BehindProxies {
  readonly identify: "anonymous";
}

/** Callers are told apart by the credential that the server takes. */
export interface CredentialCallersConfig extends BehindProxies {
  readonly identify: "auto" | "authorization";
  /** Whose tokens name their subject, whatever the server's metadata say. */
  readonly jwt?: TrustedIssuer;
}

/** Callers are named by a proxy. */
export interface HeaderCallersConfig {
  readonly identify: "header";
  /** In lower case. */
  readonly header: string;
  /** Addresses and networks (`10.0.0.0/8`, `::1`); not empty. */
  readonly trustedProxies: readonly string[];
}

/** Callers have tokens that the gateway itself verifies. */
export interface JwtCallersConfig extends TrustedIssuer, BehindProxies {
  readonly identify: "jwt";
  readonly scopes: readonly string[];
}

/** Who issues tokens that the gateway verifies. */
export interface TrustedIssuer {
  readonly issuer: string;
  /** One of these; not empty. */
  readonly audience: readonly string[];
  /** Absent: the issuer's metadata say where its keys are. */
  readonly jwks?: URL;
  readonly clockToleranceMs: number;
}

export interface LogConfig {
  readonly level: string;
  /** `auto`: pretty on a terminal, JSON elsewhere. */
  readonly format: "auto" | "pretty" | "json";
  /** Whether there is a line for whatever is done with a task. */
  readonly isAudited: boolean;
  /** Whether lines name callers by a hash. */
  readonly hashesCallers: boolean;
}

export interface LimitsConfig {
  readonly maxBodyBytes: number;
  /** How deep JSON may be nested, from clients and servers alike. */
  readonly maxDepth: number;
  /** Of a request's headers together. */
  readonly maxHeaderBytes: number;
  /** Sockets of the listener. */
  readonly maxConnections: number;
  /** Of all finished results together that the store did not take. */
  readonly maxUnwrittenBytes: number;
  readonly keepAliveMs: number;
  readonly drainTimeoutMs: number;
  /** How long a request about a task may be kept waiting for its answer. */
  readonly maxWaitMs: number;
  /** How long nobody may be there while the gateway is started anew. */
  readonly restartGapMs: number;
  readonly total: TotalLimits;
  /** Holds for callers that are told apart: the others would share one caller's share. */
  readonly perCaller: CallerLimits;
}

/** How much of everything there may be. Absent: as much as there is. */
export interface TotalLimits {
  /** Tasks under way; also as many calls that wait for their turn, and as many that wait for answers of their client. */
  readonly tasks?: number;
  readonly streams?: number;
  readonly sessions?: number;
  readonly storedBytes?: number;
  /** Held in memory: of requests until nothing needs them, and of answers until they are taken. */
  readonly bytes?: number;
}

export interface CallerLimits extends TotalLimits {
  readonly calls?: RateLimit;
  readonly polls?: RateLimit;
}

/** So many at once, and then so many in the time. */
export interface RateLimit {
  readonly count: number;
  readonly perMs: number;
}

export interface ServerConfig {
  readonly name: string;
  /** Begins with a slash and is no other server's. */
  readonly path: string;
  /** Other paths of the same route: `/mcp` when this is the only server. */
  readonly aliases: readonly string[];
  readonly upstream: UpstreamConfig;
  /** What holds for tools that no rule matches. */
  readonly tasks: ToolPolicy;
  /** The first match wins; every rule is complete. */
  readonly tools: readonly ToolRule[];
  readonly maxConcurrent: number;
  readonly maxQueued: number;
}

export type UpstreamConfig = HttpUpstreamConfig | StdioUpstreamConfig;

interface SessionsConfig {
  readonly sessions: "lease" | "per-call" | "single";
  /** Of all callers together. With `single` it is 1, whatever this says. Absent: as many as are needed. */
  readonly maxSessions?: number;
  readonly idleTimeoutMs: number;
  readonly startTimeoutMs: number;
}

/** A server that listens at an address. */
export interface HttpUpstreamConfig extends SessionsConfig {
  /** `sse` is HTTP+SSE of 2024-11-05; `auto` has to find out. */
  readonly transport: "auto" | "streamable-http" | "sse";
  readonly url: URL;
  /** Names in lower case, so that they replace forwarded ones. Secrets live here: never log them. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether those go with requests for other paths of the server as well. Absent: no. */
  readonly headersEverywhere?: boolean;
  /** Names in lower case. */
  readonly forwardHeaders: readonly string[];
}

/** A server that is started by a command and spoken to over its standard streams: every session is a process. */
export interface StdioUpstreamConfig extends SessionsConfig {
  readonly transport: "stdio";
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the few variables that a server gets anyway. Secrets live here: never log them. */
  readonly env: Readonly<Record<string, string>>;
  /** Relative to the working directory of the gateway, which it is unless given. */
  readonly cwd?: string;
  /** None ever: a process gets no headers. */
  readonly forwardHeaders: readonly never[];
}

export type TaskMode = "never" | "auto" | "always" | "required";

export interface ToolPolicy {
  readonly mode: TaskMode;
  readonly waitForMs: number;
  readonly ttlMs: number;
  readonly pollIntervalMs: number;
  readonly maxPollIntervalMs: number;
  readonly maxRuntimeMs: number;
  readonly maxResultBytes: number;
  readonly onLoss: "fail" | "retry";
  /** Whether `retry` also holds for tools of which the server does not say that they may be called twice. */
  readonly isUnsafe: boolean;
  /** What a client of 2025-11-25 may tell the model while the task runs. */
  readonly immediateResponse?: string;
}

export interface ToolRule extends ToolPolicy {
  /** A glob over tool names. */
  readonly match: string;
}
