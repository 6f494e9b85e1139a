import { z } from "zod";
import { globFault } from "../glob.ts";
import { hostName, mountPath, origin, serverName } from "./addresses.ts";
import { callerDefaults, callersSection } from "./caller-settings.ts";
import { choice, duration, flag, integer, list, section, setting, size, text } from "./fields.ts";
import { limitDefaults, limitsSection } from "./limit-settings.ts";
import { storeDefaults, storeSection } from "./store-settings.ts";
import { upstreamDefaults, upstreamSection } from "./upstream-settings.ts";

/** What holds where nothing is said, in the words of the file; texts are parsed like those of the file. */
export const defaults = {
  listen: { host: "127.0.0.1", port: 8080, allowedOrigins: [] },
  admin: { host: "127.0.0.1" },
  store: storeDefaults,
  limits: limitDefaults,
  log: { level: "info", format: "auto", audit: false, callers: "clear" },
  callers: callerDefaults,
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
    maxConcurrent: 64,
    maxQueued: 1000,
  },
} as const;

const listen = section({
  host: setting(
    text("a host name or an address"),
    "Address to listen on; anything but loopback is reachable by others.",
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
    "Where clients find the gateway, such as `https://tools.example`, if that is not where it listens: documents about it say so.",
  ),
});

const admin = section({
  host: setting(text("a host name or an address"), "Address of the admin listener.", defaults.admin.host),
  port: integer(0, 65_535).describe("Port for health and metrics; without `admin` nothing listens."),
});

const log = section({
  level: setting(
    choice(["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
    "Least severe log lines to write; they go to standard error.",
    defaults.log.level,
  ),
  format: setting(
    choice(["auto", "pretty", "json"]),
    "How log lines look: `pretty` for people, `json` for programs; `auto` is `pretty` on a terminal and `json` elsewhere.",
    defaults.log.format,
  ),
  audit: setting(
    flag(),
    "Whether a line is written for every task that is created, read, answered, cancelled or ends, and for every request that is refused, with caller, route, tool and task.",
    defaults.log.audit,
  ),
  callers: setting(
    choice(["clear", "hashed"]),
    "Whether log lines name callers as they are, or by a hash that is the same for the same caller.",
    defaults.log.callers,
  ),
});

const policy = {
  mode: setting(
    choice(["never", "auto", "always", "required"]),
    "`never` a task; `auto`: answer directly when it is quick; `always` a task for clients that know tasks; `required`: refuse those that do not.",
    defaults.tasks.mode,
  ),
  waitFor: setting(
    duration({ min: "0ms" }),
    "How long `auto` waits before it lets go.",
    defaults.tasks.waitFor,
  ),
  ttl: setting(
    duration({ max: "365d" }),
    "How long a finished task stays, counted from its end; the advertised `ttlMs` grows accordingly.",
    defaults.tasks.ttl,
  ),
  pollInterval: setting(
    duration(),
    "What clients are told to wait between polls, at first.",
    defaults.tasks.pollInterval,
  ),
  maxPollInterval: setting(
    duration(),
    "What that wait grows to with the age of the task; an inherited one gives way to `pollInterval`.",
    defaults.tasks.maxPollInterval,
  ),
  maxRuntime: setting(
    duration(),
    "Then the call is cancelled at the server and the task fails, saying so.",
    defaults.tasks.maxRuntime,
  ),
  onLoss: setting(
    choice(["fail", "retry"]),
    "What becomes of a task whose gateway stopped while the call ran, and cannot be picked up: `fail`, saying so, or `retry`, which sends the call again if the server says of the tool that this does no harm (`readOnlyHint`, `idempotentHint`).",
    defaults.tasks.onLoss,
  ),
  unsafe: setting(
    flag(),
    "With `onLoss: retry`: send the call again whatever the server says of the tool. It may then have run twice.",
    defaults.tasks.unsafe,
  ),
  maxResultBytes: setting(
    size(),
    "A larger result makes the task fail with a message that names both sizes.",
    defaults.tasks.maxResultBytes,
  ),
  immediateResponse: setting(
    text("a text for the model"),
    "What clients of 2025-11-25 may tell the model at once when a call has become a task, in place of a text of their own.",
  ),
};

const taskSettings = section({
  ...policy,
  maxConcurrent: setting(
    integer(1, 100_000),
    "Calls of one caller that run at the server at one time.",
    defaults.tasks.maxConcurrent,
  ),
  maxQueued: setting(
    integer(0, 1_000_000),
    "Tasks of one caller that may wait for their turn; beyond that a call is refused.",
    defaults.tasks.maxQueued,
  ),
});

/** The globs themselves are compiled where calls are judged; here they are only proved to be some. */
function toolGlob() {
  const expected = "a glob over tool names, of 1000 characters at most";
  return text(expected, (glob) => glob !== "" && glob.length <= 1_000).superRefine((glob, context) => {
    const fault = globFault(glob);
    if (fault !== undefined) context.addIssue({ code: "custom", message: `must be ${expected}: ${fault}` });
  });
}

const rule = section({
  match: toolGlob().describe(
    "Glob over tool names, such as `render_*`: `*` is any text, `?` one character, `[a-z]` and `[!a-z]` one of a class, `{a,b}` either.",
  ),
  ...policy,
});

const server = section({
  path: setting(
    mountPath(),
    "Where the server is found: `/<name>/mcp` unless given. A single server also answers at `/mcp`.",
  ),
  upstream: upstreamSection,
  tasks: taskSettings.exactOptional(),
  tools: setting(
    list(rule),
    "Rules for tools; the first match wins, and what it leaves out comes from `tasks`.",
    defaults.server.tools,
  ),
});

/**
 * The configuration file, after `${ENV}` is put in. Strict everywhere: a misspelt setting is an error and not a
 * default. Its output has milliseconds and bytes where the file has texts; absent settings stay absent, because a
 * rule inherits from its server.
 */
export const fileSchema = section({
  listen: listen.exactOptional(),
  admin: admin.exactOptional(),
  store: storeSection.exactOptional(),
  callers: callersSection.exactOptional(),
  limits: limitsSection.exactOptional(),
  log: log.exactOptional(),
  servers: z
    .record(serverName(), server, { error: "must be a mapping from names to servers" })
    .refine((servers) => Object.keys(servers).length > 0, { error: "must name at least one server" }),
});

export type ConfigFile = z.output<typeof fileSchema>;
export type PolicySettings = Omit<z.output<typeof taskSettings>, "maxConcurrent" | "maxQueued">;
/** The same, with everything filled in that has a default. */
export type FullPolicySettings = Required<Omit<PolicySettings, "immediateResponse">> & PolicySettings;

/** The defaults as the schema reads them: milliseconds, bytes, numbers. */
export function parsedDefaults() {
  return {
    tasks: taskSettings.omit({ immediateResponse: true }).required().parse(defaults.tasks),
    store: storeSection.omit({ tls: true, encryptionKeys: true }).required().parse(defaults.store),
  };
}
