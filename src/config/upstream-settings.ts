import { httpUrl } from "./addresses.ts";
import { directory, program, programArguments, variables } from "./command.ts";
import { choice, duration, flag, integer, section, setting } from "./fields.ts";
import { forwardHeaders, staticHeaders } from "./headers.ts";

/** The settings of a server at a URL, and of one that the gateway starts. */
export const URL_SETTINGS = ["url", "headers", "headersEverywhere", "forwardHeaders"] as const;
export const COMMAND_SETTINGS = ["command", "args", "env", "cwd"] as const;
/** The only transport of a server that the gateway starts. */
export const COMMAND_TRANSPORT = "stdio";

export const upstreamDefaults = {
  transport: "auto",
  headers: {},
  headersEverywhere: false,
  forwardHeaders: [],
  sessions: "lease",
  startTimeout: "30s",
  args: [],
  env: {},
} as const;

/** Defaults for sessions. Keeping a session costs a server over HTTP little; starting a process costs seconds. */
export interface SessionPreset {
  readonly maxSessions?: number;
  readonly idleTimeout: number;
  readonly startTimeout: number;
}

const START_TIMEOUT = duration().parse(upstreamDefaults.startTimeout);

export const upstreamPresets: Readonly<Record<"url" | "command", SessionPreset>> = {
  url: { idleTimeout: duration().parse("1m"), startTimeout: START_TIMEOUT },
  command: { maxSessions: 8, idleTimeout: duration().parse("5m"), startTimeout: START_TIMEOUT },
};

const URL_TRANSPORTS = ["auto", "streamable-http", "sse"] as const;

/**
 * One mapping for both kinds of servers, so that every setting has one row in the manual. `upstreamConflicts` reports settings that
 * contradict each other; `oneOf` does so in editors.
 */
export const upstreamSection = section({
  url: setting(httpUrl(), "MCP endpoint of a server at a URL, `http` or `https`. Either this or `command`."),
  command: setting(
    program(),
    "Program of a server over stdio. The gateway starts it without a shell. Either this or `url`.",
  ),
  args: setting(
    programArguments(),
    "Arguments of `command`. The gateway prints them at its start: put secrets in `env`.",
    upstreamDefaults.args,
  ),
  env: setting(
    variables(),
    "Environment of `command`, added to the few variables that any program gets, such as `PATH` and `HOME`. Take secrets from the gateway's environment or from files.",
    upstreamDefaults.env,
  ),
  cwd: setting(
    directory(),
    "Working directory of `command`, relative to the gateway's, which is the default.",
  ),
  transport: setting(
    choice([...URL_TRANSPORTS, COMMAND_TRANSPORT]),
    "Transport of the server. `sse` is HTTP+SSE of 2024-11-05; `auto` tries it when the server does not speak `streamable-http`. With `command` it is always `stdio`.",
    upstreamDefaults.transport,
  ),
  headers: setting(
    staticHeaders(),
    "Headers that the gateway sends with every request to `url`, in place of forwarded ones. Take secrets from the environment or from files.",
    upstreamDefaults.headers,
  ),
  headersEverywhere: setting(
    flag(),
    "Whether the gateway sends `headers` with requests for other paths of the server as well, which everybody who reaches the gateway can make. Otherwise such requests have neither these headers nor a client's own of the same names.",
    upstreamDefaults.headersEverywhere,
  ),
  forwardHeaders: setting(
    forwardHeaders(),
    "Names of headers of the client's request that the gateway passes on to the server at `url`.",
    upstreamDefaults.forwardHeaders,
  ),
  sessions: setting(
    choice(["lease", "per-call", "single"]),
    "`lease`: a session serves one call at a time and is used again. `per-call`: a new session for each call. `single`: one session for everything, one call at a time, for servers that allow no more. With `command` every session is a process.",
    upstreamDefaults.sessions,
  ),
  maxSessions: setting(
    integer(1, 10_000),
    "How many sessions the gateway may have open, for all callers together: for calls, for lists, and for paired clients. Calls and paired clients beyond it wait, take turns by caller, and leave one for lists. By default 8 with `command`, no limit with `url`. Sessions that clients open at `url` themselves do not count.",
  ),
  idleTimeout: setting(
    duration(),
    "How long the gateway keeps an idle session: by default `5m` with `command`, `1m` with `url`, where it keeps those for lists at least 5 minutes. With `sessions: single` it keeps the session for good.",
  ),
  startTimeout: setting(
    duration(),
    "How long the server may take to start and to answer `initialize`, and how long it may be silent about a list, a completion or a prompt.",
    upstreamDefaults.startTimeout,
  ),
}).meta({
  oneOf: [
    {
      required: ["url"],
      properties: { ...none(COMMAND_SETTINGS), transport: { not: { const: COMMAND_TRANSPORT } } },
    },
    {
      required: ["command"],
      properties: {
        ...none(URL_SETTINGS),
        transport: { not: { enum: URL_TRANSPORTS } },
      },
    },
  ],
});

function none(settings: readonly string[]): Readonly<Record<string, false>> {
  return Object.fromEntries(settings.map((name) => [name, false]));
}
