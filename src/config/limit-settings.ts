import { getHeapStatistics } from "node:v8";
import { z } from "zod";
import type { LimitsConfig, RateLimit, TotalLimits } from "./config.ts";
import { duration, flag, integer, section, setting, size } from "./fields.ts";
import { type Problem, textAt, valueAt } from "./problems.ts";
import { orReference, parseRate, parseSize } from "./units.ts";

/**
 * The defaults protect a gateway of one process and do not get in the way of normal use. One caller, which may have 64 running and 1,000
 * waiting calls at a server, leaves room for many others.
 */
export const limitDefaults = {
  maxBody: "4mb",
  maxDepth: 128,
  maxHeaders: "16kb",
  maxConnections: 20_000,
  maxUnwritten: "256mb",
  keepAlive: "15s",
  keepAliveJson: true,
  shutdownDelay: "0ms",
  drainTimeout: "10s",
  maxWait: "45s",
  restartGap: "5s",
  total: { tasks: 20_000, streams: 10_000, sessions: 5_000, storedBytes: "1gb" },
  perCaller: { tasks: 2_000, calls: "100/s", polls: "500/s" },
  perRoute: {},
} as const;

const memory = size({ max: "1024gb" });
const count = integer(1, 10_000_000);

export const limitsSection = section({
  maxBody: setting(size(), "Largest request body; a larger one gets 413.", limitDefaults.maxBody),
  maxDepth: setting(
    integer(8, 10_000),
    "How deep clients and servers may nest objects and arrays.",
    limitDefaults.maxDepth,
  ),
  maxHeaders: setting(
    size({ max: "1mb" }),
    "Size of all headers of a request together; larger ones get 431.",
    limitDefaults.maxHeaders,
  ),
  maxConnections: setting(
    integer(1, 1_000_000),
    "How many connections clients may have open. The gateway closes further ones at once.",
    limitDefaults.maxConnections,
  ),
  maxUnwritten: setting(
    size({ max: "64gb" }),
    "How much memory finished results may take while the store is away. Beyond it a task fails and says so.",
    limitDefaults.maxUnwritten,
  ),
  keepAlive: setting(
    duration(),
    "How often the gateway sends a comment on a quiet stream, so that no proxy closes it.",
    limitDefaults.keepAlive,
  ),
  keepAliveJson: setting(
    flag(),
    "Whether a client that reads no streams gets white space before its JSON, as often, while the gateway has no answer for it. The status of an answer that begins so is 200, also with an error.",
    limitDefaults.keepAliveJson,
  ),
  shutdownDelay: setting(
    duration({ min: "0ms", max: "5m" }),
    "How long the gateway goes on as before after it was told to stop, while its ready paths already answer 503: for load balancers that learn nowhere else that it goes.",
    limitDefaults.shutdownDelay,
  ),
  drainTimeout: setting(
    duration({ min: "0ms" }),
    "How long open requests and running calls may take to end after the gateway was told to stop.",
    limitDefaults.drainTimeout,
  ),
  maxWait: setting(
    duration({ min: "0ms", max: "10m" }),
    "How long a request about a task waits instead of being refused: while the store is away, when it comes too fast, and while the gateway stops. Clients give up after a minute, some proxies after 50 seconds.",
    limitDefaults.maxWait,
  ),
  restartGap: setting(
    duration({ min: "0ms", max: "10m" }),
    "How long a restart takes. Before the gateway stops, it tells polling clients to come back after this time and a little more.",
    limitDefaults.restartGap,
  ),
  total: section({
    tasks: setting(
      count,
      "How many tasks of all callers together may be unfinished. As many calls may wait for their turn, and as many for their clients' answers.",
      limitDefaults.total.tasks,
    ),
    streams: setting(
      count,
      "How many streams may be open on which clients listen or wait for tasks. One caller may have a fiftieth of them, and at least 100.",
      limitDefaults.total.streams,
    ),
    sessions: setting(
      count,
      "How many paired sessions (in front of servers over stdio and HTTP+SSE) may be open. One caller may have a fiftieth of them, and at least 100.",
      limitDefaults.total.sessions,
    ),
    storedBytes: setting(
      memory,
      "How much this process may have in the store of arguments and results that have not expired. Beyond it there are no new tasks. One caller may have a quarter of it.",
      limitDefaults.total.storedBytes,
    ),
    bytes: setting(
      memory,
      "How much memory requests and answers may take: arriving bodies, waiting and running calls, unread answers. By default a quarter of V8's heap limit; at least twice `maxBody`.",
    ),
  }).exactOptional(),
  perCaller: section({
    tasks: setting(
      count,
      "How many tasks of one caller may be unfinished. As many calls may wait for their turn, and as many for answers. `perCaller` applies where callers are told apart.",
      limitDefaults.perCaller.tasks,
    ),
    calls: setting(
      rate(),
      "How often one caller may send `tools/call`: so many in the time, a fifth of them at once. One that comes too soon waits, a second at most; then it is refused.",
      limitDefaults.perCaller.calls,
    ),
    polls: setting(
      rate(),
      "The same for `tasks/*`, but those that come too soon wait up to `limits.maxWait` and are then answered. The more tasks a caller has, the longer the poll interval that it is told.",
      limitDefaults.perCaller.polls,
    ),
    bytes: setting(
      memory,
      "How much of `limits.total.bytes` one caller may have. By default a quarter; at least `maxBody`.",
    ),
  }).exactOptional(),
  perRoute: section({
    calls: setting(
      rate(),
      "How often all callers together may send `tools/call` to one server, also those that are not told apart. `none` unless given; counted like `perCaller.calls`.",
    ),
  }).exactOptional(),
});

type LimitsFile = z.output<typeof limitsSection>;

/** One caller's share of `total` streams or sessions. */
const shareOf = (total: number) => Math.min(total, Math.max(100, Math.floor(total / 50)));

/** Fills in the defaults of each section, and the values that are derived from other settings. */
export function resolveLimits(given: LimitsFile = {}): LimitsConfig {
  const preset = limitsSection.required().parse(limitDefaults);
  const limits = { ...preset, ...given };
  const { maxBody } = limits;
  const totalBytes =
    given.total?.bytes ?? Math.max(Math.floor(getHeapStatistics().heap_size_limit / 4), 2 * maxBody);
  const total = { ...preset.total, ...given.total, bytes: totalBytes } as Required<TotalLimits>;
  const routeCalls = given.perRoute?.calls;
  const { calls, polls, ...perCaller } = { ...preset.perCaller, ...given.perCaller };
  return {
    maxBodyBytes: maxBody,
    maxDepth: limits.maxDepth,
    maxHeaderBytes: limits.maxHeaders,
    maxConnections: limits.maxConnections,
    maxUnwrittenBytes: limits.maxUnwritten,
    keepAliveMs: limits.keepAlive,
    keepsJsonAlive: limits.keepAliveJson,
    shutdownDelayMs: limits.shutdownDelay,
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
    ...(routeCalls === undefined || routeCalls === "none" ? {} : { perRoute: { calls: routeCalls } }),
  };
}

/** Settings of the section that work but may be a mistake. */
export function limitWarnings(document: unknown): readonly Problem[] {
  const isGiven = valueAt(document, ["limits", "perCaller"]) !== undefined;
  const isIdle = isGiven && textAt(document, ["callers", "identify"]) === "anonymous";
  return isIdle
    ? [{ path: "limits.perCaller", message: "has no effect with callers.identify: anonymous" }]
    : [];
}

/** `bytes` must have room for a body of `maxBody` with what is made of it, or the gateway could never accept one of that size. */
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

/** A number per second, minute or hour, or `none`. */
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
