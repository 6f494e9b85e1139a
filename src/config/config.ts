import type { KeyObject } from "node:crypto";

/**
 * The resolved configuration: no text left to parse, every default filled in, units in the names. The rest of the program sees only these
 * types, never the file.
 */
export interface Config {
  readonly listen: ListenConfig;
  /** The listener for health, metrics and operators. Absent: none. */
  readonly admin?: AdminConfig;
  readonly store: {
    /** In a form of `parseStoreUrl`; may contain a password. */
    readonly url: string;
    /** This and the next three apply to servers that several gateways share. */
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
    /** Keys of 32 bytes; the first one encrypts. Absent: no encryption. */
    readonly encryptionKeys?: readonly KeyObject[];
    /** With keys: whether the gateway also trusts values that are not encrypted. */
    readonly acceptsPlaintext?: boolean;
  };
  readonly callers: CallersConfig;
  readonly limits: LimitsConfig;
  readonly log: LogConfig;
  /** Whether the gateway watches the file that the configuration came from, and takes over what changes. */
  readonly reload: "off" | "watch";
  /** `propagate`: passes on the traces of clients and keeps them with tasks. `otlp`: adds spans to them and exports those. */
  readonly tracing: "off" | "propagate" | "otlp";
  readonly servers: readonly ServerConfig[];
  readonly webhooks: readonly WebhookConfig[];
  /** Clients' own subscriptions to what happens to their tasks. Absent: they have none. */
  readonly events?: EventsConfig;
}

/** What clients may subscribe to, and how many of them (the Events extension). */
export interface EventsConfig {
  /** Whose numbers the extension's errors have: those of its design sketch, or of its proposal. */
  readonly errorNumbers: "sketch" | "sep";
  /** Of all callers together. */
  readonly maxSubscriptions: number;
  /** For each caller at each server. */
  readonly maxPerCaller: number;
  readonly maxTtlMs: number;
  /** How long a receiver may take to answer. */
  readonly timeoutMs: number;
  /** Hosts that clients may name although they have no public address. In lower case. */
  readonly allowedHosts: readonly string[];
}

/** Somebody whom the gateway tells what happens to tasks. */
export interface WebhookConfig {
  readonly name: string;
  readonly url: URL;
  /** As Standard Webhooks writes them (`whsec_…`); each signs. Never log them. */
  readonly secrets: readonly string[];
  readonly events: readonly WebhookEvent[];
  /** Names of servers; empty: all. */
  readonly servers: readonly string[];
  /** Globs over names of tools; empty: all. */
  readonly tools: readonly string[];
  /** Whether events have results and errors, or only say how it stands. */
  readonly include: "status" | "result";
  readonly attempts: number;
  readonly timeoutMs: number;
}

export type WebhookEvent =
  | "created"
  | "input_required"
  | "progress"
  | "completed"
  | "failed"
  | "cancelled"
  | "lost";

export interface AdminConfig {
  readonly host: string;
  readonly port: number;
  /** Who has it sees all and may cancel. Absent, as `readToken`: only on loopback anybody may. */
  readonly token?: string;
  /** Who has it sees all. */
  readonly readToken?: string;
  /** Whether the API shows what servers and clients tell each other. */
  readonly payloads: boolean;
}

export interface ListenConfig {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Host names without a port. Absent: the listener decides from the address it is bound to. */
  readonly allowedHosts?: readonly string[];
  /** Origins as a browser sends them, e.g. `https://app.example`. */
  readonly allowedOrigins: readonly string[];
  /** The origin at which clients find the gateway. Absent: the one that their requests are addressed to. */
  readonly publicUrl?: string;
  /** Where the gateway says whether it wants requests. Absent: nowhere on this listener. */
  readonly readyPath?: string | undefined;
  /** Absent: the listener speaks HTTP without TLS. */
  readonly tls?: TlsConfig;
}

/** Where a listener's certificate and key are. */
export interface TlsConfig {
  readonly cert: string;
  readonly key: string;
  /** Of the key. Never log it. */
  readonly passphrase?: string;
}

/** How the gateway tells callers apart. */
export type CallersConfig =
  | AnonymousCallersConfig
  | CredentialCallersConfig
  | HeaderCallersConfig
  | JwtCallersConfig;

interface BehindProxies {
  /** Addresses and networks (`10.0.0.0/8`, `::1`) of proxies whose headers the gateway trusts. Absent: none. */
  readonly trustedProxies?: readonly string[];
}

/** The gateway does not tell callers apart. */
export interface AnonymousCallersConfig extends BehindProxies {
  readonly identify: "anonymous";
}

/** The gateway tells callers apart by the credential that the server accepts. */
export interface CredentialCallersConfig extends BehindProxies {
  readonly identify: "auto" | "authorization";
  /** The gateway trusts the subject in this issuer's tokens, whatever the server's metadata say. */
  readonly jwt?: TrustedIssuer;
}

/** A trusted proxy names callers. */
export interface HeaderCallersConfig {
  readonly identify: "header";
  /** In lower case. */
  readonly header: string;
  /** Addresses and networks (`10.0.0.0/8`, `::1`); not empty. */
  readonly trustedProxies: readonly string[];
}

/** Callers send tokens that the gateway itself verifies. */
export interface JwtCallersConfig extends TrustedIssuer, BehindProxies {
  readonly identify: "jwt";
  readonly scopes: readonly string[];
}

/** The issuer of tokens that the gateway verifies. */
export interface TrustedIssuer {
  readonly issuer: string;
  /** A token's `aud` must be one of these; not empty. */
  readonly audience: readonly string[];
  /** Absent: the issuer's metadata say where its keys are. */
  readonly jwks?: URL;
  readonly clockToleranceMs: number;
}

export interface LogConfig {
  readonly level: string;
  /** `auto`: pretty on a terminal, JSON elsewhere. */
  readonly format: "auto" | "pretty" | "json";
  /** Whether the gateway logs a line for everything that is done with a task (`Audit`). */
  readonly isAudited: boolean;
  /** Whether lines name callers by a hash. */
  readonly hashesCallers: boolean;
}

export interface LimitsConfig {
  readonly maxBodyBytes: number;
  /** How deep JSON may be nested, from clients and servers alike. */
  readonly maxDepth: number;
  /** Of all headers of a request together. */
  readonly maxHeaderBytes: number;
  /** Sockets of the listener. */
  readonly maxConnections: number;
  /** Of all finished results together that the store has not accepted yet. */
  readonly maxUnwrittenBytes: number;
  readonly keepAliveMs: number;
  /** Whether an answer in JSON, too, may begin before the gateway has it. */
  readonly keepsJsonAlive: boolean;
  /** How long a gateway that was told to stop only says so. */
  readonly shutdownDelayMs: number;
  readonly drainTimeoutMs: number;
  /** How long a request about a task may wait for its answer. */
  readonly maxWaitMs: number;
  /** How long a restart of the gateway takes. */
  readonly restartGapMs: number;
  readonly total: TotalLimits;
  /** For identified callers only: unidentified ones count as one caller, and would have to share its limits. */
  readonly perCaller: CallerLimits;
  /** For each server, of all callers together, whether or not the gateway tells them apart. Absent: no limit. */
  readonly perRoute?: { readonly calls: RateLimit };
}

/** Absent: no limit. */
export interface TotalLimits {
  /** Unfinished tasks; also as many calls that wait for a slot, and as many that wait for their client's answers. */
  readonly tasks?: number;
  readonly streams?: number;
  readonly sessions?: number;
  readonly storedBytes?: number;
  /** In memory: of requests until nothing needs them, and of answers until clients have read them. */
  readonly bytes?: number;
}

export interface CallerLimits extends TotalLimits {
  readonly calls?: RateLimit;
  readonly polls?: RateLimit;
}

/** `count` requests per `perMs` milliseconds. */
export interface RateLimit {
  readonly count: number;
  readonly perMs: number;
}

export interface ServerConfig {
  readonly name: string;
  /** Begins with a slash and belongs to no other server. */
  readonly path: string;
  /** Other paths of the same route: `/mcp` when this is the only server. */
  readonly aliases: readonly string[];
  readonly upstream: UpstreamConfig;
  /** The policy for tools that no rule matches. */
  readonly tasks: ToolPolicy;
  /** The first match wins; every rule is complete. */
  readonly tools: readonly ToolRule[];
  readonly maxConcurrent: number;
  readonly maxQueued: number;
}

export type UpstreamConfig = HttpUpstreamConfig | StdioUpstreamConfig;

interface SessionsConfig {
  readonly sessions: "lease" | "per-call" | "single";
  /** Of all callers together. With `single` it is 1, whatever this says. Absent: no limit. */
  readonly maxSessions?: number;
  readonly idleTimeoutMs: number;
  readonly startTimeoutMs: number;
  /** What files have put into its URL or its command. Never log them. Absent: nothing. */
  readonly secrets?: readonly string[];
}

/** A server at a URL. */
export interface HttpUpstreamConfig extends SessionsConfig {
  /** `sse` is HTTP+SSE of 2024-11-05; with `auto` the gateway finds out. */
  readonly transport: "auto" | "streamable-http" | "sse";
  readonly url: URL;
  /** Names in lower case, so that they replace forwarded ones. Secrets live here: never log them. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether the gateway sends `headers` with requests for other paths of the server as well. Absent: no. */
  readonly headersEverywhere?: boolean;
  /** Names in lower case. */
  readonly forwardHeaders: readonly string[];
}

/** A server that the gateway starts with a command and speaks to over its standard streams: every session is a process. */
export interface StdioUpstreamConfig extends SessionsConfig {
  readonly transport: "stdio";
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the few variables that every server gets. Secrets live here: never log them. */
  readonly env: Readonly<Record<string, string>>;
  /** Relative to the gateway's working directory, which is the default. */
  readonly cwd?: string;
  /** Always empty: a process gets no headers. */
  readonly forwardHeaders: readonly never[];
}

/** `observe` is `never`, chosen to see from what is counted which mode suits. */
export type TaskMode = "never" | "observe" | "auto" | "always" | "required";

export interface ToolPolicy {
  readonly mode: TaskMode;
  readonly waitForMs: number;
  readonly ttlMs: number;
  readonly pollIntervalMs: number;
  readonly maxPollIntervalMs: number;
  readonly maxRuntimeMs: number;
  readonly maxResultBytes: number;
  readonly onLoss: "fail" | "retry";
  /** Whether `retry` also applies to tools that the server does not declare safe to call twice. */
  readonly isUnsafe: boolean;
  /** What a 2025-11-25 client may tell the model while the task runs. */
  readonly immediateResponse?: string;
  /** How long a server may be silent before the gateway tells a client that gave a progress token that its call runs. Absent: it never does. */
  readonly heartbeatMs?: number;
  /** Absent: a client that knows no tasks waits for as long as a call takes. */
  readonly fallback?: FallbackPolicy;
}

/** What happens to a long call of a client that knows no tasks: it becomes a task, for which its model asks by calling tools. */
export interface FallbackPolicy {
  readonly afterMs: number;
  /** What the names of those tools begin with; the same for all of a server's tools. */
  readonly prefix: string;
}

export interface ToolRule extends ToolPolicy {
  /** A glob over tool names. */
  readonly match: string;
}
