import { getHeapStatistics } from "node:v8";
import { z } from "zod";
import type { LimitsConfig, RateLimit, ScopeLimits } from "./config.ts";
import { duration, integer, section, setting, size } from "./fields.ts";
import { type Problem, textAt, valueAt } from "./problems.ts";
import { orReference, parseRate, parseSize } from "./units.ts";

/**
 * What holds where nothing is said protects a gateway of one process, and is out of the way of whoever does not misuse it. One
 * route leaves room for the others, and one caller, who may have 64 calls running and 1,000 waiting on a route, for many.
 */
export const limitDefaults = {
  maxBody: "4mb",
  maxDepth: 128,
  maxHeaders: "16kb",
  maxConnections: 20_000,
  maxUnwritten: "256mb",
  keepAlive: "15s",
  drainTimeout: "10s",
  maxWait: "45s",
  restartGap: "5s",
  total: {
    tasks: 20_000,
    queued: 20_000,
    held: 4_000,
    streams: 10_000,
    sessions: 5_000,
    storedBytes: "1gb",
    calls: "none",
    polls: "none",
  },
  perRoute: {
    tasks: 15_000,
    queued: 15_000,
    held: 3_000,
    streams: 8_000,
    sessions: 1_000,
    storedBytes: "1gb",
    calls: "none",
    polls: "none",
  },
  perCaller: {
    tasks: 2_000,
    queued: 2_000,
    held: 200,
    streams: 200,
    sessions: 100,
    storedBytes: "256mb",
    calls: "100/s",
    polls: "500/s",
  },
} as const;

type ScopeDefaults = (typeof limitDefaults)["total" | "perRoute" | "perCaller"];

const memory = size({ max: "1024gb" });

export const limitsSection = section({
  maxBody: setting(size(), "Largest request body that is read.", limitDefaults.maxBody),
  maxDepth: setting(
    integer(8, 10_000),
    "How deep objects and arrays may be nested in what a client or a server sends.",
    limitDefaults.maxDepth,
  ),
  maxHeaders: setting(
    size({ max: "1mb" }),
    "How long the headers of a request may be, all together; longer ones are answered with 431.",
    limitDefaults.maxHeaders,
  ),
  maxConnections: setting(
    integer(1, 1_000_000),
    "How many connections clients may have open; further ones are closed at once.",
    limitDefaults.maxConnections,
  ),
  maxUnwritten: setting(
    size({ max: "64gb" }),
    "How much of finished results is kept in memory while the store is away; what is beyond that is lost, and its task says so.",
    limitDefaults.maxUnwritten,
  ),
  keepAlive: setting(
    duration(),
    "How often a quiet stream gets a comment to keep it open.",
    limitDefaults.keepAlive,
  ),
  drainTimeout: setting(
    duration({ min: "0ms" }),
    "How long a stopping gateway lets open requests finish.",
    limitDefaults.drainTimeout,
  ),
  maxWait: setting(
    duration({ min: "0ms", max: "10m" }),
    "How long a request about a task may be kept waiting for its answer instead of being refused: while the store is away, while it comes too fast, and while the gateway stops. Clients give up after a minute, and some proxies after 50 seconds.",
    limitDefaults.maxWait,
  ),
  restartGap: setting(
    duration({ min: "0ms", max: "10m" }),
    "How long nobody may be there between the stop of the gateway and its next start: the last answers before it stops tell clients that follow a task to come back after that, and a little more.",
    limitDefaults.restartGap,
  ),
  total: section({
    ...scope("of all callers together", limitDefaults.total),
    bytes: setting(
      memory,
      "How much memory this process may hold of requests and answers: of bodies that arrive, calls that wait or run, and answers that are not taken. A quarter of V8's heap limit unless given; at least twice `maxBody`.",
    ),
  }).exactOptional(),
  perRoute: section(scope("of one server", limitDefaults.perRoute)).exactOptional(),
  perCaller: section({
    ...scope(
      "of one caller",
      limitDefaults.perCaller,
      " What is `perCaller` holds where callers are told apart.",
    ),
    bytes: setting(
      memory,
      "The same of one caller. A quarter of `limits.total.bytes` unless given; at least `maxBody`.",
    ),
  }).exactOptional(),
});

type LimitsFile = z.output<typeof limitsSection>;
type ScopeFile = NonNullable<LimitsFile["perRoute"]>;

/** Fills in the defaults, those of each scope by themselves. */
export function resolveLimits(given: LimitsFile = {}): LimitsConfig {
  const preset = limitsSection.required().parse(limitDefaults);
  const limits = { ...preset, ...given };
  const { maxBody } = limits;
  const totalBytes =
    given.total?.bytes ?? Math.max(Math.floor(getHeapStatistics().heap_size_limit / 4), 2 * maxBody);
  const callerBytes = given.perCaller?.bytes ?? Math.max(Math.floor(totalBytes / 4), maxBody);
  return {
    maxBodyBytes: maxBody,
    maxDepth: limits.maxDepth,
    maxHeaderBytes: limits.maxHeaders,
    maxConnections: limits.maxConnections,
    maxUnwrittenBytes: limits.maxUnwritten,
    keepAliveMs: limits.keepAlive,
    drainTimeoutMs: limits.drainTimeout,
    maxWaitMs: limits.maxWait,
    restartGapMs: limits.restartGap,
    total: { ...resolveScope({ ...preset.total, ...given.total }), bytes: totalBytes },
    perRoute: resolveScope({ ...preset.perRoute, ...given.perRoute }),
    perCaller: { ...resolveScope({ ...preset.perCaller, ...given.perCaller }), bytes: callerBytes },
  };
}

/** What of the section works, but may not be meant. */
export function limitWarnings(document: unknown): readonly Problem[] {
  const isGiven = valueAt(document, ["limits", "perCaller"]) !== undefined;
  const isIdle = isGiven && textAt(document, ["callers", "identify"]) === "anonymous";
  return isIdle
    ? [{ path: "limits.perCaller", message: "has no effect with callers.identify: anonymous" }]
    : [];
}

/** One body has to find room, together with what is made of it, or none of that size would ever be taken. */
export function limitConflicts(document: unknown): readonly Problem[] {
  const sizeAt = (...path: readonly string[]) => parseSize(textAt(document, ["limits", ...path]) ?? "");
  const maxBody = sizeAt("maxBody") ?? parseSize(limitDefaults.maxBody) ?? 0;
  const [total, perCaller] = [sizeAt("total", "bytes"), sizeAt("perCaller", "bytes")];
  return [
    ...(total !== undefined && total < 2 * maxBody
      ? [{ path: "limits.total.bytes", message: `must be at least twice limits.maxBody (${2 * maxBody}b)` }]
      : []),
    ...(perCaller !== undefined && perCaller < maxBody
      ? [{ path: "limits.perCaller.bytes", message: `must be at least limits.maxBody (${maxBody}b)` }]
      : []),
  ];
}

function resolveScope({ calls, polls, ...counts }: ScopeFile): ScopeLimits {
  return {
    ...counts,
    ...(calls === undefined || calls === "none" ? {} : { calls }),
    ...(polls === undefined || polls === "none" ? {} : { polls }),
  };
}

function scope(whose: string, preset: ScopeDefaults, note = "") {
  const count = integer(1, 10_000_000);
  return {
    tasks: setting(
      count,
      `How many tasks ${whose} may be under way, those that wait included.${note}`,
      preset.tasks,
    ),
    queued: setting(count, `How many calls ${whose} may wait for their turn.`, preset.queued),
    held: setting(
      count,
      `How many calls ${whose} may wait for their client to come back with answers.`,
      preset.held,
    ),
    streams: setting(
      count,
      `How many streams ${whose} may be open on which a client listens, or waits for a task.`,
      preset.streams,
    ),
    sessions: setting(
      count,
      `How many sessions ${whose} may be open that the gateway keeps for a client: those of servers over stdio and HTTP+SSE.`,
      preset.sessions,
    ),
    storedBytes: setting(
      memory,
      `How much this process may have stored of arguments and results ${whose} that have not expired. Beyond it there are no new tasks.`,
      preset.storedBytes,
    ),
    calls: setting(
      rate(),
      `How often \`tools/call\` ${whose} may come: so many in the time, a fifth of them at once. One that comes too soon waits, a second at most, and is refused then.`,
      preset.calls,
    ),
    polls: setting(
      rate(),
      `The same for \`tasks/*\` ${whose}, but those that come too soon wait for up to \`limits.maxWait\` and are not refused then. The more tasks there are, the longer the interval at which clients are told to poll.`,
      preset.polls,
    ),
  };
}

/** So many in a second, a minute or an hour, or no limit. */
function rate() {
  const expected = 'must be a rate such as "100/s", "600/m" or "5000/h", or "none"';
  return z
    .string({ error: expected })
    .transform((given, context): RateLimit | "none" => {
      const found = given === "none" ? given : parseRate(given);
      if (found !== undefined) return found;
      context.addIssue({ code: "custom", message: expected });
      return z.NEVER;
    })
    .meta({ values: "rate, `none`", pattern: orReference("none|[0-9]+/[smh]") });
}
