import { getHeapStatistics } from "node:v8";
import { z } from "zod";
import type { LimitsConfig, RateLimit, TotalLimits } from "./config.ts";
import { duration, integer, section, setting, size } from "./fields.ts";
import { type Problem, textAt, valueAt } from "./problems.ts";
import { orReference, parseRate, parseSize } from "./units.ts";

/**
 * The defaults protect a gateway of one process, and are out of the way of whoever does not misuse it. One caller, who may have 64 calls
 * running and 1,000 waiting on a server, leaves room for many others.
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
  total: { tasks: 20_000, streams: 10_000, sessions: 5_000, storedBytes: "1gb" },
  perCaller: { tasks: 2_000, calls: "100/s", polls: "500/s" },
} as const;

const memory = size({ max: "1024gb" });
const count = integer(1, 10_000_000);

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
    tasks: setting(
      count,
      "How many tasks of all callers together may be under way. As many calls may wait for their turn, and as many for answers of their clients.",
      limitDefaults.total.tasks,
    ),
    streams: setting(
      count,
      "How many streams may be open on which a client listens, or waits for a task. One caller may have a fiftieth of them, and at least 100.",
      limitDefaults.total.streams,
    ),
    sessions: setting(
      count,
      "How many sessions may be open that the gateway keeps for a client: those of servers over stdio and HTTP+SSE. One caller may have a fiftieth of them, and at least 100.",
      limitDefaults.total.sessions,
    ),
    storedBytes: setting(
      memory,
      "How much this process may have stored of arguments and results that have not expired. Beyond it there are no new tasks. One caller may have a quarter of it.",
      limitDefaults.total.storedBytes,
    ),
    bytes: setting(
      memory,
      "How much memory this process may hold of requests and answers: of bodies that arrive, calls that wait or run, and answers that are not taken. A quarter of V8's heap limit unless given; at least twice `maxBody`.",
    ),
  }).exactOptional(),
  perCaller: section({
    tasks: setting(
      count,
      "How many tasks of one caller may be under way. As many calls may wait for their turn, and as many for answers. What is `perCaller` holds where callers are told apart.",
      limitDefaults.perCaller.tasks,
    ),
    calls: setting(
      rate(),
      "How often `tools/call` of one caller may come: so many in the time, a fifth of them at once. One that comes too soon waits, a second at most, and is refused then.",
      limitDefaults.perCaller.calls,
    ),
    polls: setting(
      rate(),
      "The same for `tasks/*` of one caller, but those that come too soon wait for up to `limits.maxWait` and are not refused then. The more tasks there are, the longer the interval at which clients are told to poll.",
      limitDefaults.perCaller.polls,
    ),
    bytes: setting(
      memory,
      "The part of `limits.total.bytes` that one caller may have. A quarter of it unless given; at least `maxBody`.",
    ),
  }).exactOptional(),
});

type LimitsFile = z.output<typeof limitsSection>;

/** One caller's share of streams and sessions, of which there are so many in all. */
const shareOf = (total: number) => Math.min(total, Math.max(100, Math.floor(total / 50)));

/** Fills in the defaults, those of each section by themselves, and what follows from others. */
export function resolveLimits(given: LimitsFile = {}): LimitsConfig {
  const preset = limitsSection.required().parse(limitDefaults);
  const limits = { ...preset, ...given };
  const { maxBody } = limits;
  const totalBytes =
    given.total?.bytes ?? Math.max(Math.floor(getHeapStatistics().heap_size_limit / 4), 2 * maxBody);
  const total = { ...preset.total, ...given.total, bytes: totalBytes } as Required<TotalLimits>;
  const { calls, polls, ...perCaller } = { ...preset.perCaller, ...given.perCaller };
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
    total,
    perCaller: {
      streams: shareOf(total.streams),
      sessions: shareOf(total.sessions),
      storedBytes: Math.floor(total.storedBytes / 4),
      bytes: Math.max(Math.floor(totalBytes / 4), maxBody),
      ...perCaller,
      ...(calls === undefined || calls === "none" ? {} : { calls }),
      ...(polls === undefined || polls === "none" ? {} : { polls }),
    },
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
