import type { RefusedCaller } from "../admin/refusals.ts";
import type { Reload } from "../admin/reloads.ts";
import type { ServerStatus } from "../admin/status.ts";
import type { Suggestions } from "../admin/suggestions.ts";
import type { TaskStory, TaskSummary } from "../admin/task-summary.ts";
import type { TaskListing } from "../admin/tasks.ts";
import type { Flags } from "../config/flags.ts";
import { parseDuration } from "../config/units.ts";
import { EXIT } from "../exit-codes.ts";
import { durationText } from "../lib/duration-text.ts";
import { readable } from "../log/one-line.ts";
import { taskName } from "../log/task-name.ts";
import { HOUR_MS, MAX_HOURS } from "../observers/calls/call-counts.ts";
import type { ReplicaInfo } from "../store/task-store.ts";
import { ApiClient, ApiError, addressIn } from "./api-client.ts";
import { ADMIN_TOKEN, ADMIN_URL } from "./flags.ts";
import { table } from "./table.ts";

export interface Terminal {
  readonly print: (line: string) => void;
  readonly say: (line: string) => void;
}

type Environment = Readonly<Record<string, string | undefined>>;

const ACTIONS = ["list", "show", "watch", "cancel"] as const;
const FILTERS = ["server", "tool", "status", "caller"] as const;
const PAGE = 500;
/** As the gateway makes them. */
const TASK_ID = /^[\w-]{24}$/;
const HIDDEN = "what server and client said is shown with admin.payloads: true";

/** `mcp-taskgate tasks`. Returns the exit code. */
export async function runTasks(
  flags: Flags,
  env: Environment,
  stopped: Promise<unknown>,
  terminal: Terminal,
): Promise<number> {
  const { action, name } = flags;
  const wanted = ACTIONS.find((each) => each === action);
  const needsName = wanted === "show" || wanted === "cancel";
  if (wanted === undefined) return misuse(terminal, `give an action: ${ACTIONS.join(", ")}`);
  if (needsName && typeof name !== "string")
    return misuse(terminal, `give the name of a task: tasks ${wanted} NAME`);
  if (!needsName && name !== undefined) return misuse(terminal, `tasks ${wanted} takes no name`);
  return withApi(flags, env, terminal, async (client) => {
    switch (wanted) {
      case "list":
        return list(client, flags, terminal);
      case "show": {
        const story = (await client.get(`tasks/${encodeURIComponent(nameOf(String(name)))}`)) as TaskStory;
        return print(flags, terminal, story, () => storyLines(story));
      }
      case "cancel": {
        const story = (await client.post(
          `tasks/${encodeURIComponent(nameOf(String(name)))}/cancel`,
        )) as TaskStory;
        return print(flags, terminal, story, () => [`${story.name} (${story.tool}) is cancelled`]);
      }
      case "watch":
        return watch(client, flags, stopped, terminal);
    }
  });
}

/** The name of a task that is named by its name or by its id, as clients know it. The id is a key to the task: it goes nowhere. */
function nameOf(given: string): string {
  return TASK_ID.test(given) ? taskName(given) : given;
}

/** `mcp-taskgate servers`. Returns the exit code. */
export function runServers(flags: Flags, env: Environment, terminal: Terminal): Promise<number> {
  return withApi(flags, env, terminal, async (client) => {
    const { servers } = (await client.get("servers")) as { readonly servers: readonly ServerStatus[] };
    const { replicas } = (await client.get("replicas")) as { readonly replicas: readonly ReplicaInfo[] };
    const { refusals } = (await client.get("refusals")) as { readonly refusals: readonly RefusedCaller[] };
    const { lastReload } = (await client.get("config")) as { readonly lastReload?: LastReload };
    return print(flags, terminal, { servers, replicas, refusals, lastReload }, () => [
      ...serverLines(servers),
      "",
      ...replicaLines(replicas),
      ...(refusals.length === 0 ? [] : ["", ...refusalLines(refusals)]),
      ...(lastReload === undefined ? [] : ["", reloadLine(lastReload)]),
    ]);
  });
}

/** `mcp-taskgate suggest`. Returns the exit code. */
export async function runSuggest(flags: Flags, env: Environment, terminal: Terminal): Promise<number> {
  const { since } = flags;
  const hours = since === undefined ? undefined : (parseDuration(String(since)) ?? 0) / HOUR_MS;
  if (hours !== undefined && !(Number.isInteger(hours) && hours >= 1 && hours <= MAX_HOURS))
    return misuse(terminal, `--since: must be whole hours, such as 1h or ${MAX_HOURS}h, which is the most`);
  return withApi(flags, env, terminal, async (client) => {
    const query = hours === undefined ? {} : { hours: String(hours) };
    const suggestions = (await client.get("suggestions", query)) as Suggestions;
    return print(flags, terminal, suggestions, () => suggestions.yaml.trimEnd().split("\n").map(readable));
  });
}

/** `mcp-taskgate reload`. Returns the exit code. */
export function runReload(flags: Flags, env: Environment, terminal: Terminal): Promise<number> {
  return withApi(flags, env, terminal, async (client) => {
    const reload = (await client.post("reload")) as Reload;
    return print(flags, terminal, reload, () => [`the configuration file: ${reloadText(reload)}`]);
  });
}

export async function withApi(
  flags: Flags,
  env: Environment,
  terminal: Terminal,
  use: (client: ApiClient) => Promise<number>,
): Promise<number> {
  const address = flags.admin ?? env[ADMIN_URL];
  if (typeof address !== "string" || address === "")
    return misuse(
      terminal,
      `--admin: must be the address of the admin listener, such as http://127.0.0.1:9090 (or ${ADMIN_URL}); the gateway has one with --admin-port`,
    );
  const base = addressIn(address);
  if (base === undefined)
    return misuse(
      terminal,
      "--admin: must be http or https without a user or password, such as http://127.0.0.1:9090",
    );
  const variable = flags["token-from"] ?? ADMIN_TOKEN;
  const token = typeof variable === "string" ? env[variable] : undefined;
  if (flags["token-from"] !== undefined && token === undefined)
    return misuse(terminal, "--token-from: must be the name of an environment variable that is set");
  try {
    return await use(new ApiClient(base, token));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    terminal.say(`error: ${readable(error.message)}`);
    return error.status === undefined ? EXIT.unreachable : EXIT.failed;
  }
}

async function list(client: ApiClient, flags: Flags, terminal: Terminal): Promise<number> {
  const limit = Number(flags.limit ?? 100);
  if (!Number.isInteger(limit) || limit < 1 || limit > 100_000)
    return misuse(terminal, "--limit: must be a whole number from 1 to 100000");
  const ageMs = flags["max-age"] === undefined ? undefined : parseDuration(String(flags["max-age"]));
  if (flags["max-age"] !== undefined && (ageMs === undefined || ageMs < 1_000))
    return misuse(terminal, '--max-age: must be a duration of a second or more, such as "15m" or "2h"');
  const filter = {
    ...Object.fromEntries(
      FILTERS.flatMap((each) => (flags[each] === undefined ? [] : [[each, String(flags[each])]])),
    ),
    ...(ageMs === undefined ? {} : { maxAge: String(Math.ceil(ageMs / 1_000)) }),
  };
  const tasks: TaskSummary[] = [];
  let cursor: string | undefined;
  do {
    const rest = String(Math.min(PAGE, limit - tasks.length));
    const page = (await client.get("tasks", {
      ...filter,
      limit: rest,
      ...(cursor === undefined ? {} : { cursor }),
    })) as TaskListing;
    tasks.push(...page.tasks);
    cursor = page.nextCursor;
  } while (cursor !== undefined && tasks.length < limit);
  const more = cursor === undefined ? [] : ["there are more: --limit"];
  return print(flags, terminal, { tasks }, () => [...taskLines(tasks), ...more]);
}

async function watch(
  client: ApiClient,
  flags: Flags,
  stopped: Promise<unknown>,
  terminal: Terminal,
): Promise<number> {
  const over = new AbortController();
  void stopped.then(() => over.abort());
  const events = await client.events(over.signal);
  terminal.say("watching; Ctrl-C ends it");
  for await (const event of events)
    terminal.print(flags.json === true ? JSON.stringify(event) : eventLine(event as EventShown));
  return 0;
}

interface EventShown {
  readonly kind: string;
  readonly at: string;
  readonly task?: { readonly name: string; readonly server?: string; readonly tool?: string };
  readonly [detail: string]: unknown;
}

function eventLine({ kind, at, task, ...details }: EventShown): string {
  const subject =
    task === undefined ? [] : [task.name, task.server ?? "", task.tool ?? ""].filter((word) => word !== "");
  const rest = Object.entries(details).map(([name, value]) => `${name}=${String(value)}`);
  return readable([at.slice(11, 19), ...subject, kind, ...rest].join("  "));
}

function taskLines(tasks: readonly TaskSummary[]): readonly string[] {
  if (tasks.length === 0) return ["no tasks"];
  const rows = tasks.map(({ name, status, tool, server, caller, createdAt, durationMs }) => [
    name,
    status,
    tool,
    server,
    caller,
    createdAt.slice(0, 19).replace("T", " "),
    durationText(durationMs),
  ]);
  return table(["TASK", "STATUS", "TOOL", "SERVER", "CALLER", "CREATED (UTC)", "TOOK"], rows);
}

function storyLines(story: TaskStory): readonly string[] {
  const {
    name,
    tool,
    server,
    caller,
    status,
    durationMs,
    errorCode,
    reason,
    questions,
    expiresAt,
    payloads,
  } = story;
  const waits = questions === 0 ? [] : [`${questions} open ${questions === 1 ? "question" : "questions"}`];
  const error = errorCode === undefined ? [] : [`error ${errorCode}`];
  const why = reason === undefined ? [] : [`why: ${reason}`];
  const isSilent =
    payloads === undefined && (status === "failed" || status === "tool_error" || questions > 0);
  const beganAt = Date.parse(story.createdAt);
  return [
    `${name}  ${tool} (${server}), of ${caller}, at gateway ${story.replica}`,
    `${[status, ...error, ...waits].join(", ")}; ${durationText(durationMs)}${expiresAt === undefined ? "" : `; kept until ${expiresAt}`}`,
    ...why,
    ...story.story.map(({ at, what, count, replica }) => {
      const after = durationText(Date.parse(at) - beganAt);
      return `  ${at}  +${after}  ${what}${count === undefined ? "" : ` ${count}`}${replica === undefined ? "" : `  at ${replica}`}`;
    }),
    ...(payloads === undefined ? [] : [JSON.stringify(payloads, null, 2)]),
    ...(isSilent ? [HIDDEN] : []),
  ].map(readable);
}

function serverLines(servers: readonly ServerStatus[]): readonly string[] {
  const took = (ms: number | undefined) => (ms === undefined ? "" : durationText(ms));
  const rows = servers.map(
    ({
      name,
      isThere,
      info,
      protocolVersion = "",
      sessions,
      tools,
      tasks,
      p95Ms,
      oldestCallMs,
      upstream,
    }) => [
      name,
      isThere === undefined ? "unknown" : isThere ? "up" : "gone",
      [info?.name, info?.version].filter((word) => word !== undefined).join(" "),
      protocolVersion,
      String(tools),
      String(sessions),
      `${tasks.working} working, ${tasks.queued} queued, ${tasks.input_required} asking`,
      took(p95Ms),
      took(oldestCallMs),
      upstream,
    ],
  );
  const head = ["SERVER", "STATE", "NAME", "REVISION", "TOOLS", "SESSIONS", "TASKS HERE"];
  return table([...head, "P95 LAST HOUR", "OLDEST CALL", "AT"], rows);
}

function replicaLines(replicas: readonly ReplicaInfo[]): readonly string[] {
  const rows = replicas.map(({ id, isMe, isAlive, host = "", pid, version = "", startedAt, tasks }) => [
    id,
    isMe ? "answers" : isAlive ? "alive" : "gone",
    host,
    String(pid ?? ""),
    version,
    startedAt === undefined ? "" : new Date(startedAt).toISOString().slice(0, 19).replace("T", " "),
    String(tasks),
  ]);
  return table(["GATEWAY", "STATE", "HOST", "PID", "VERSION", "STARTED (UTC)", "UNFINISHED TASKS"], rows);
}

type LastReload = Reload & { readonly at: string };

/** What became of the configuration file when it was read last. */
function reloadLine({ at, ...reload }: LastReload): string {
  return `the configuration file was read at ${at}: ${reloadText(reload)}`;
}

function reloadText(reload: Reload): string {
  const lists = Object.entries(reload).flatMap(([what, names]) =>
    typeof names === "string" || names.length === 0
      ? []
      : [`${what === "restart" ? "a restart is needed for" : what}: ${names.join(", ")}`],
  );
  return readable([OUTCOMES[reload.outcome], ...lists].join("; "));
}

const OUTCOMES = {
  applied: "it is in force",
  unchanged: "it has no error, and nothing new that can be applied",
  refused: "it has errors, and nothing of it is applied",
} as const satisfies Record<Reload["outcome"], string>;

function refusalLines(refusals: readonly RefusedCaller[]): readonly string[] {
  const rows = refusals.map(({ caller = "", server, reason, limit = reason, count, lastAt }) => [
    caller,
    server,
    limit,
    String(count),
    lastAt.slice(0, 19).replace("T", " "),
  ]);
  return table(["REFUSED IN THE LAST HOUR", "SERVER", "WHY", "TIMES", "LAST (UTC)"], rows);
}

export function print(
  { json }: Flags,
  terminal: Terminal,
  answer: unknown,
  lines: () => readonly string[],
): number {
  if (json === true) terminal.print(JSON.stringify(answer, null, 2));
  else for (const line of lines()) terminal.print(line);
  return 0;
}

export function misuse(terminal: Terminal, reason: string): number {
  terminal.say(`error: ${reason}`);
  return EXIT.unusable;
}
