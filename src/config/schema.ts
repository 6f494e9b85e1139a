import { z } from "zod";
import { hostName, hostOrAddress, mountPath, origin, pathOr, serverName } from "./addresses.ts";
import { callerDefaults, callersSection } from "./caller-settings.ts";
import { eventsSection } from "./event-settings.ts";
import { choice, duration, durationOr, flag, integer, list, section, setting, size, text } from "./fields.ts";
import { limitDefaults, limitsSection } from "./limit-settings.ts";
import { storeDefaults, storeSection } from "./store-settings.ts";
import { tlsSection } from "./tls-settings.ts";
import { toolGlob } from "./tool-glob.ts";
import { upstreamDefaults, upstreamSection } from "./upstream-settings.ts";
import { webhooksSection } from "./webhook-settings.ts";

/** The defaults as a file would write them; their texts are parsed like a file's. */
export const defaults = {
  listen: { host: "127.0.0.1", port: 8080, allowedOrigins: [], readyPath: "/-/health" },
  admin: { host: "127.0.0.1", payloads: false },
  store: storeDefaults,
  limits: limitDefaults,
  log: { level: "info", format: "auto", audit: false, callers: "clear" },
  tracing: "off",
  callers: callerDefaults,
  reload: "off",
  server: { tools: [] },
  upstream: upstreamDefaults,
  tasks: {
    mode: "auto",
    waitFor: "250ms",
    ttl: "1h",
    pollInterval: "500ms",
    maxPollInterval: "10s",
    maxRuntime: "1h",
    onLoss: "fail",
    unsafe: false,
    maxResultBytes: "32mb",
    heartbeat: "15s",
    fallback: "off",
    fallbackAfter: "45s",
    fallbackPrefix: "taskgate_",
    maxConcurrent: 64,
    maxQueued: 1000,
  },
} as const;

/** The words that a shell completes. */
export const CHOICES = {
  mode: ["never", "observe", "auto", "always", "required"],
  log: ["auto", "pretty", "json"],
} as const;

const listen = section({
  host: setting(
    hostOrAddress(),
    "Address to listen on. Others can reach anything but loopback.",
    defaults.listen.host,
  ),
  port: setting(integer(0, 65_535), "Port to listen on; 0 lets the system choose.", defaults.listen.port),
  allowedHosts: setting(
    list(hostName()),
    "Host names, without port, that requests may be addressed to (against DNS rebinding).",
  ),
  allowedOrigins: setting(
    list(origin()),
    "Origins of web pages that may call the gateway, such as `https://app.example`.",
    defaults.listen.allowedOrigins,
  ),
  publicUrl: setting(
    origin(),
    "Where clients find the gateway, such as `https://tools.example`, if that is not where it listens. The gateway's OAuth documents name it.",
  ),
  readyPath: setting(
    pathOr("none"),
    "Path at which the gateway itself tells proxies whether it is ready (200) or not (503), whatever `Host` they name. A server's own document at this path is still there below the server's path.",
    defaults.listen.readyPath,
  ),
  tls: tlsSection.exactOptional(),
});

const MIN_TOKEN_CHARS = 16;

function adminToken() {
  return text(
    `a secret of ${MIN_TOKEN_CHARS} characters or more, without blanks`,
    (given) => given.length >= MIN_TOKEN_CHARS && /^[\x21-\x7e]+$/.test(given),
  );
}

const admin = section({
  host: setting(hostOrAddress(), "Address of the admin listener.", defaults.admin.host),
  port: integer(0, 65_535).describe(
    "Port for health checks, metrics and the API for operators. Without `admin` there is no admin listener.",
  ),
  token: setting(
    adminToken(),
    "Secret for the API: who sends it (`Authorization: Bearer …`) sees all and may cancel tasks. Without tokens the API is there on loopback only, for everybody on the machine. Take it from the environment or from a file.",
  ),
  readToken: setting(adminToken(), "Secret for the API: who sends it sees all and may change nothing."),
  payloads: setting(
    flag(),
    "Whether the API shows what servers and clients tell each other: progress, questions, results, errors.",
    defaults.admin.payloads,
  ),
});

const log = section({
  level: setting(
    choice(["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
    "Least severe log lines that the gateway writes to standard error.",
    defaults.log.level,
  ),
  format: setting(
    choice(CHOICES.log),
    "Form of log lines: `pretty` for people, `json` for programs; `auto` is `pretty` on a terminal and `json` elsewhere.",
    defaults.log.format,
  ),
  audit: setting(
    flag(),
    "Whether to write a line for every task that is created, read, answered, cancelled or ends, and for every refused request, with caller, route, tool and task.",
    defaults.log.audit,
  ),
  callers: setting(
    choice(["clear", "hashed"]),
    "Whether log lines name callers as they are, or by a hash that stays the same for a caller.",
    defaults.log.callers,
  ),
});

const policy = {
  mode: setting(
    choice(CHOICES.mode),
    "`never`: no tasks. `observe`: the same, to see first what `mcp-taskgate suggest` makes of the calls. `auto`: a direct answer when the call is quick, else a task. `always`: a task at once for clients that know tasks. `required`: as `auto`, and clients that do not know tasks are refused.",
    defaults.tasks.mode,
  ),
  waitFor: setting(
    duration({ min: "0ms" }),
    "How long an `auto` call may run before the client gets a task.",
    defaults.tasks.waitFor,
  ),
  ttl: setting(
    duration({ max: "365d" }),
    "How long a finished task stays, counted from its end. The `ttlMs` that clients see grows accordingly.",
    defaults.tasks.ttl,
  ),
  pollInterval: setting(
    duration(),
    "How long clients are told to wait between polls, at first.",
    defaults.tasks.pollInterval,
  ),
  maxPollInterval: setting(
    duration(),
    "What `pollInterval` grows to with the age of the task. An inherited value that is smaller than a rule's `pollInterval` gives way to it.",
    defaults.tasks.maxPollInterval,
  ),
  maxRuntime: setting(
    duration(),
    "How long a call may run. Then the gateway cancels it at the server, and the task fails and says so.",
    defaults.tasks.maxRuntime,
  ),
  onLoss: setting(
    choice(["fail", "retry"]),
    "What becomes of a task whose gateway stopped during a call that cannot be picked up. `fail`: the task fails and says so. `retry`: another gateway sends the call again if the server says that this does no harm (`readOnlyHint`, `idempotentHint` of the tool).",
    defaults.tasks.onLoss,
  ),
  unsafe: setting(
    flag(),
    "With `onLoss: retry`: send the call again whatever the server says of the tool. It may then run twice.",
    defaults.tasks.unsafe,
  ),
  maxResultBytes: setting(
    size(),
    "Largest result. A larger one makes the task fail with a message that names both sizes.",
    defaults.tasks.maxResultBytes,
  ),
  heartbeat: setting(
    durationOr("off"),
    "How long a server may be silent before the gateway tells a client that gave a `progressToken` that its call still runs. Many clients reset their clocks on progress only.",
    defaults.tasks.heartbeat,
  ),
  immediateResponse: setting(
    text("a text for the model"),
    "Text that clients of 2025-11-25 may show to the model when a call has become a task, in place of their own.",
  ),
  fallback: setting(
    choice(["off", "tools"]),
    "What a client gets that knows no tasks when a call is still running after `fallbackAfter`. `off`: it waits on. `tools`: the call becomes a task of the caller's, the client gets a text for its model, and two more tools with which the model asks for the result. `stdio` has `tools` unless given.",
    defaults.tasks.fallback,
  ),
  fallbackAfter: setting(
    duration(),
    "With `fallback: tools`: how long a call may run before the client gets that text, and how long the tool for the result waits. Most clients give up after a minute.",
    defaults.tasks.fallbackAfter,
  ),
};

const taskSettings = section({
  ...policy,
  maxConcurrent: setting(
    integer(1, 100_000),
    "How many calls of one caller may run at the server at the same time.",
    defaults.tasks.maxConcurrent,
  ),
  fallbackPrefix: setting(
    text("at most 64 letters, digits, and any of _ - .", (given) => /^[\w.-]{1,64}$/.test(given)),
    "What the names of the tools of `fallback: tools` begin with: `taskgate_result` and `taskgate_cancel`. A server that has tools of these names itself keeps them, and the gateway adds none.",
    defaults.tasks.fallbackPrefix,
  ),
  maxQueued: setting(
    integer(0, 1_000_000),
    "How many tasks of one caller may wait for their turn. Calls beyond it are refused.",
    defaults.tasks.maxQueued,
  ),
});

const rule = section({
  match: toolGlob().describe(
    "Glob over tool names, such as `render_*`: `*` is any text, `?` one character, `[a-z]` and `[!a-z]` one of a class, `{a,b}` either.",
  ),
  ...policy,
});

const server = section({
  path: setting(
    mountPath(),
    "Path at which clients find the server, `/<name>/mcp` unless given. A single server also answers at `/mcp`.",
  ),
  upstream: upstreamSection,
  tasks: taskSettings.exactOptional(),
  tools: setting(
    list(rule),
    "Rules for tools. The first match decides; what it leaves out comes from `tasks`.",
    defaults.server.tools,
  ),
});

/**
 * The configuration file, with `${ENV}` references replaced. Strict everywhere, so that a misspelt setting is an error and not a default. Its
 * output has milliseconds and bytes where the file has texts; absent settings stay absent, because a rule inherits from its server.
 */
export const fileSchema = section({
  listen: listen.exactOptional(),
  admin: admin.exactOptional(),
  store: storeSection.exactOptional(),
  callers: callersSection.exactOptional(),
  limits: limitsSection.exactOptional(),
  log: log.exactOptional(),
  reload: setting(
    choice(["off", "watch"]),
    "`watch`: take over changes of this file while the gateway runs, all of them or, if it has an error, none.",
    defaults.reload,
  ),
  tracing: setting(
    choice(["off", "propagate", "otlp"]),
    "What becomes of traces. `propagate`: the record of a task keeps the trace of the client that made it, so that another gateway passes it on as well, and log lines name it. `otlp`: the gateway adds spans and sends them by OTLP over HTTP, as the `OTEL_*` variables say.",
    defaults.tracing,
  ),
  servers: z
    .record(serverName(), server, { error: "must be a mapping from names to servers" })
    .refine((servers) => Object.keys(servers).length > 0, { error: "must name at least one server" }),
  webhooks: webhooksSection.exactOptional(),
  events: eventsSection.exactOptional(),
});

export type ConfigFile = z.output<typeof fileSchema>;
export type PolicySettings = Omit<
  z.output<typeof taskSettings>,
  "maxConcurrent" | "maxQueued" | "fallbackPrefix"
>;
/** Policy settings with every default filled in. */
export type FullPolicySettings = Required<Omit<PolicySettings, "immediateResponse">> & PolicySettings;

/** The defaults as the schema parses them: milliseconds, bytes, numbers. */
export function parsedDefaults() {
  return {
    tasks: taskSettings.omit({ immediateResponse: true }).required().parse(defaults.tasks),
    store: storeSection.omit({ tls: true, encryptionKeys: true }).required().parse(defaults.store),
  };
}
