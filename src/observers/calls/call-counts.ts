import type { RpcError } from "../../protocol/errors.ts";
import type { Outcome, TaskRecord } from "../../store/task-store.ts";
import { sentAt } from "../../tasks/story.ts";
import type { Observer } from "../../tasks/task-event.ts";
import { outcomeOf } from "../outcome-label.ts";
import { type ListingServer, OTHER, PerTool } from "../per-tool.ts";
import { refusalIn } from "../refusal.ts";
import { Durations } from "./durations.ts";
import { RecentCalls, type StepSample } from "./recent-calls.ts";

/**
 * What became of a client's request for a call. `refused`: the gateway did not let it through, for a limit or because of who sent it.
 * `failed`: the answer is any other error of the gateway, or one that it passed on knowing it.
 * `interim`: the answer is not the result yet, but a task or questions, or is counted elsewhere.
 */
export type Ending = "answered" | "abandoned" | "failed" | "refused" | "interim";

/** How a call ends that gets an answer. @param error the gateway's own, if it is one */
export function endingOf(error: RpcError | undefined): Ending {
  if (error === undefined) return "answered";
  return refusalIn(error.httpStatus, error) === undefined ? "failed" : "refused";
}

type Counted = Extract<Ending, "answered" | "abandoned">;

export interface CallCountsOptions {
  /** The servers as they are now. */
  readonly servers: () => readonly ListingServer[];
  /** Milliseconds, by a clock that does not jump. */
  readonly now: () => number;
}

/** What was counted of one tool. */
export interface ToolCount {
  /** `_other`: all those that the server does not list here. */
  readonly tool: string;
  /** Calls whose result was there, for the client that waited or as a task's. */
  readonly answered: Durations;
  /** Calls whose client left before, after how long at the server. */
  readonly abandoned: Durations;
}

export interface CallCount {
  /** For how long the calls were counted that are in it. Milliseconds. */
  readonly sinceMs: number;
  /** By the name of the server. */
  readonly servers: ReadonlyMap<string, readonly ToolCount[]>;
}

export const HOUR_MS = 3_600_000;
/** How far back it can be said what was counted since then, apart from all since the start. */
export const MAX_HOURS = 24;

/**
 * Counts how long calls of tools take at the server, and how often and when clients give them up there: of each tool since the start of
 * this process, and by the hour for a day. A tool takes 2 KB, and 1 KB for each hour with calls, or 2 if some were abandoned: 50 KB at most.
 */
export class CallCounts {
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly #sources: CallCountsOptions["servers"];
  /** Also those that were removed and still drain. */
  readonly #servers = new Map<string, ServerCalls>();
  readonly #recent = new RecentCalls();

  constructor({ servers, now }: CallCountsOptions) {
    this.#now = now;
    this.#startedAt = now();
    this.#sources = servers;
  }

  /** A client's request has come. `undefined`: it is no call. */
  begin(server: string, message: unknown): CountedCall | undefined {
    const { method, params } = (message ?? {}) as { readonly method?: unknown; readonly params?: unknown };
    if (method !== "tools/call") return undefined;
    const { name } = (params ?? {}) as { readonly name?: unknown };
    const calls = this.#callsOf(server);
    const tool = typeof name === "string" ? name : OTHER;
    return calls && new CountedCall(calls, tool, this.#now);
  }

  /** Counts the calls that became tasks, when these have ended. */
  readonly observe: Observer = (event) => {
    if (event.kind !== "ended") return;
    const { task, outcome } = event;
    const now = this.#now();
    this.#recent.taskEnded(outcomeOf(outcome), now);
    if (!hasResult(task, outcome)) return;
    const ms = Math.max(0, outcome.endedAt - sentAt(task));
    this.#callsOf(task.route)?.note(task.tool, "answered", ms, now);
  };

  /** What became of the calls of the last minutes, for charts. */
  recent(): readonly StepSample[] {
    return this.#recent.samples(this.#now());
  }

  /** @param hours 1 to `MAX_HOURS`, of which the last has only begun; absent: all since the start */
  count(hours?: number): CallCount {
    const elapsedMs = this.#now() - this.#startedAt;
    const first = hours === undefined ? 0 : Math.max(0, Math.floor(elapsedMs / HOUR_MS) - hours);
    const servers = this.#sources().map(
      ({ name }) =>
        [name, this.#callsOf(name)?.since(hours === undefined ? undefined : first) ?? []] as const,
    );
    return { sinceMs: elapsedMs - first * HOUR_MS, servers: new Map(servers) };
  }

  /** For how long the oldest call has been at a server whose client still waits. Milliseconds; `undefined`: there is none. */
  oldestMs(server: string): number | undefined {
    const sentAt = this.#servers.get(server)?.oldestSentAt;
    return sentAt === undefined ? undefined : this.#now() - sentAt;
  }

  /** Drops the counts of a server that was removed. */
  forget(server: string): void {
    this.#servers.delete(server);
  }

  #callsOf(server: string): ServerCalls | undefined {
    const known = this.#servers.get(server);
    if (known !== undefined) return known;
    const source = this.#sources().find(({ name }) => name === server);
    const made = source && new ServerCalls(source, this.#startedAt, this.#recent);
    if (made !== undefined) this.#servers.set(server, made);
    return made;
  }
}

/** A client's request for a call that is under way. */
export class CountedCall {
  readonly #calls: ServerCalls;
  readonly tool: string;
  readonly #now: () => number;
  /** Absent: the server has not got it. */
  #sentAt: number | undefined;
  #isOver = false;

  constructor(calls: ServerCalls, tool: string, now: () => number) {
    this.#calls = calls;
    this.tool = tool;
    this.#now = now;
  }

  /** The server gets the call now. However long it waited here, for a rate, a slot, a session or the store, the tool is no slower for it. */
  sent(): void {
    if (this.#isOver) return;
    this.#sentAt = this.#now();
    this.#calls.sent(this);
  }

  /** When it was. `undefined`: it was not. */
  get sentAt(): number | undefined {
    return this.#sentAt;
  }

  /**
   * Only the first ending counts, and as one of the tool's calls only if the call was sent.
   * @param at when it was, by the clock of the counts, for whoever has looked at it already: a look costs as much as all the rest
   */
  end(ending: Ending, at?: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#calls.over(this, ending, at ?? this.#now());
  }
}

class ServerCalls {
  readonly #tools: PerTool<ToolCalls>;
  readonly #startedAt: number;
  readonly #recent: RecentCalls;
  /** In the order in which they were sent. */
  readonly #atServer = new Set<CountedCall>();

  constructor({ lists }: ListingServer, startedAt: number, recent: RecentCalls) {
    this.#tools = new PerTool(lists, () => new ToolCalls());
    this.#startedAt = startedAt;
    this.#recent = recent;
  }

  /** When the oldest call was sent that is at the server now, and whose client waits. */
  get oldestSentAt(): number | undefined {
    const [oldest] = this.#atServer;
    return oldest?.sentAt;
  }

  sent(call: CountedCall): void {
    this.#atServer.delete(call);
    this.#atServer.add(call);
  }

  over(call: CountedCall, ending: Ending, at: number): void {
    const { tool, sentAt } = call;
    this.#atServer.delete(call);
    this.#recent.over(ending, at);
    if (sentAt !== undefined && (ending === "answered" || ending === "abandoned"))
      this.note(tool, ending, at - sentAt, at);
  }

  note(name: string, ending: Counted, ms: number, at: number): void {
    if (ending === "answered") this.#recent.took(ms, at);
    const tool = this.#tools.find(name) ?? this.#tools.others;
    tool.note(ending, ms, Math.floor((at - this.#startedAt) / HOUR_MS));
  }

  since(hour: number | undefined): readonly ToolCount[] {
    return this.#tools.entries.map(([tool, calls]) => ({ tool, ...calls.since(hour) }));
  }
}

/** One tool's calls: all of them, and by the hour in a ring. */
class ToolCalls {
  readonly #all = new Span(0);
  readonly #hours: Span[] = [];

  note(ending: Counted, ms: number, hour: number): void {
    this.#all.note(ending, ms);
    const at = hour % (MAX_HOURS + 1);
    let span = this.#hours[at];
    if (span?.hour !== hour) {
      span = new Span(hour);
      this.#hours[at] = span;
    }
    span.note(ending, ms);
  }

  since(first: number | undefined): Omit<ToolCount, "tool"> {
    const spans = first === undefined ? [this.#all] : this.#hours.filter((span) => span.hour >= first);
    const sum = { answered: new Durations(), abandoned: new Durations() };
    for (const { answered, abandoned } of spans) {
      sum.answered.add(answered);
      if (abandoned !== undefined) sum.abandoned.add(abandoned);
    }
    return sum;
  }
}

class Span {
  readonly hour: number;
  readonly answered = new Durations();
  /** Most hours have none. */
  abandoned: Durations | undefined;

  constructor(hour: number) {
    this.hour = hour;
  }

  note(ending: Counted, ms: number): void {
    if (ending === "answered") return this.answered.observe(ms);
    this.abandoned ??= new Durations();
    this.abandoned.observe(ms);
  }
}

/** Whether a task shows how long its call takes: one that failed does not, nor one whose server waited for answers. */
function hasResult({ story = [] }: TaskRecord, outcome: Outcome): boolean {
  return outcome.kind === "completed" && !story.some(({ what }) => what === "asked");
}
