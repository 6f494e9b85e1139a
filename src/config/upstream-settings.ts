import { httpUrl } from "./addresses.ts";
import { directory, program, programArguments, variables } from "./command.ts";
import { choice, duration, flag, integer, section, setting } from "./fields.ts";
import { forwardHeaders, staticHeaders } from "./headers.ts";

/** What belongs to a server at an address, and to one that is started. */
export const URL_SETTINGS = ["url", "headers", "headersEverywhere", "forwardHeaders"] as const;
export const COMMAND_SETTINGS = ["command", "args", "env", "cwd"] as const;
/** What one that is started has to be content with. */
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

/** What holds of sessions where nothing is said. To keep one costs a server over HTTP little, and to start one costs seconds. */
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
 * One mapping for both kinds of servers, so that every setting has one row in the manual. What does not go together is for
 * `upstreamConflicts` to say, and to an editor `oneOf` says the same.
 */
export const upstreamSection = section({
  url: setting(
    httpUrl(),
    "The MCP endpoint of a server at an address, `http` or `https`. Either this or `command`.",
  ),
  command: setting(
    program(),
    "The program of a server over stdio, which the gateway starts, without a shell. Either this or `url`.",
  ),
  args: setting(
    programArguments(),
    "Arguments of `command`. They are shown when the gateway starts: secrets belong in `env`.",
    upstreamDefaults.args,
  ),
  env: setting(
    variables(),
    "Environment of `command`, besides the few variables that any program gets, such as `PATH` and `HOME`; take secrets from the gateway's environment.",
    upstreamDefaults.env,
  ),
  cwd: setting(
    directory(),
    "Working directory of `command`, relative to that of the gateway, which it is unless given.",
  ),
  transport: setting(
    choice([...URL_TRANSPORTS, COMMAND_TRANSPORT]),
    "How the server is spoken to: `sse` is HTTP+SSE of 2024-11-05, which `auto` tries when the server does not know `streamable-http`. With `command` it is `stdio`, and need not be said.",
    upstreamDefaults.transport,
  ),
  headers: setting(
    staticHeaders(),
    "Headers sent with every request to `url`, in place of forwarded ones; take secrets from the environment.",
    upstreamDefaults.headers,
  ),
  headersEverywhere: setting(
    flag(),
    "Whether `headers` go with requests for other paths of the server as well, which whoever reaches the gateway may make. Unless they do, such requests have neither these nor a client's own of these names.",
    upstreamDefaults.headersEverywhere,
  ),
  forwardHeaders: setting(
    forwardHeaders(),
    "Names of headers of the client's request that the server at `url` gets too.",
    upstreamDefaults.forwardHeaders,
  ),
  sessions: setting(
    choice(["lease", "per-call", "single"]),
    "`lease`: a session serves one call at a time and is used again; `per-call`: a new one each time; `single`: one for everything, one call at a time, for servers that can have no other. With `command` every session is a process.",
    upstreamDefaults.sessions,
  ),
  maxSessions: setting(
    integer(1, 10_000),
    "How many sessions the gateway opens at one time, for all callers together: for calls, for lists, and for the clients' own. Who needs one more waits. 8 with `command`, no limit with `url` unless given; sessions that clients open at `url` themselves are not counted.",
  ),
  idleTimeout: setting(
    duration(),
    "How long a session that nobody uses is kept: `5m` with `command` and `1m` with `url` unless given; there, those for lists at least 5 minutes. With `sessions: single` it is kept for good.",
  ),
  startTimeout: setting(
    duration(),
    "How long the server may take to start and to answer `initialize`, and how long it may say nothing of a list, a completion or a prompt that it was asked for.",
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
