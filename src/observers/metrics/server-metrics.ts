import type { Generation } from "../../store/task-store.ts";
import { OUTCOMES, type OutcomeLabel } from "../outcome-label.ts";
import { type ListingServer, OTHER, PerTool } from "../per-tool.ts";
import { Counter, Histogram, type Labels } from "./families.ts";
import type { Distribution, Tally } from "./numbers.ts";

/**
 * The buckets that OpenTelemetry recommends for `mcp.server.operation.duration`, in seconds (semantic conventions for generative AI 0.1, MCP
 * §Metrics).
 */
const OPERATION_S = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300];
/** There is no convention for tasks, which may take hours. */
const TASK_S = [0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3_600, 14_400];
const STORE_S = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2];
const MAX_REFUSALS = 50;
const GENERATIONS: readonly Generation[] = ["2026-07-28", "2025-11-25", "none"];
const METHODS = [
  "initialize",
  "ping",
  "server/discover",
  "subscriptions/listen",
  "tools/list",
  "tools/call",
  "tasks/get",
  "tasks/result",
  "tasks/update",
  "tasks/list",
  "tasks/cancel",
  "resources/list",
  "resources/templates/list",
  "resources/read",
  "resources/subscribe",
  "resources/unsubscribe",
  "prompts/list",
  "prompts/get",
  "completion/complete",
  "logging/setLevel",
  "notifications/initialized",
  "notifications/cancelled",
  "notifications/progress",
  "notifications/roots/list_changed",
];
/** The codes of JSON-RPC and of MCP that have a meaning; a server may send any other. */
const CODES: ReadonlySet<number> = new Set([
  -32700, -32600, -32601, -32602, -32603, -32000, -32001, -32002, -32003, -32020, -32021, -32022, -32042,
]);

/** The families whose series the gateway counts in. */
export class Instruments {
  readonly created = new Counter("taskgate_tasks_created_total", "Tasks created.");
  readonly ended = new Counter("taskgate_tasks_ended_total", "Tasks that ended, by how.");
  readonly duration = new Histogram(
    "taskgate_task_duration_seconds",
    "From a task's creation to its end.",
    TASK_S,
  );
  readonly queue = new Histogram(
    "taskgate_task_queue_seconds",
    "How long calls of tasks waited for their turn, a session, or their server to start.",
    OPERATION_S,
  );
  readonly handle = new Histogram(
    "taskgate_task_handle_seconds",
    "From the call of a tool until there was a durable task for it.",
    OPERATION_S,
  );
  readonly operation = new Histogram(
    "mcp_server_operation_duration_seconds",
    "How long the gateway took to answer requests of clients (OpenTelemetry: mcp.server.operation.duration).",
    OPERATION_S,
  );
  readonly polls = new Counter(
    "taskgate_task_reads_total",
    "How often clients got a task's state or result.",
  );
  readonly questions = new Counter(
    "taskgate_questions_total",
    "Questions of servers to clients, about tasks.",
  );
  readonly answers = new Counter("taskgate_answers_total", "Answers of clients to such questions.");
  readonly refusals = new Counter("taskgate_refusals_total", "Refused requests, by reason and limit.");
  readonly detached = new Counter(
    "taskgate_fallback_handoffs_total",
    "Calls of clients without tasks that became one (fallback: tools).",
  );
  readonly takeovers = new Counter(
    "taskgate_takeovers_total",
    "Tasks taken over from gateways that stopped.",
  );
  readonly store = new Histogram(
    "taskgate_store_operation_duration_seconds",
    "How long operations of the task store took.",
    STORE_S,
  );
  readonly webhooks = new Counter(
    "taskgate_webhook_deliveries_total",
    "Tries to tell a receiver of an event, by how it took it.",
  );
  readonly clientEvents = new Counter(
    "taskgate_event_deliveries_total",
    "Tries to tell a client's receiver of an event, by how it took it.",
  );
  readonly storeFailures = new Counter(
    "taskgate_store_failures_total",
    "Operations that the task store did not answer.",
  );
  readonly families: readonly (Counter | Histogram)[] = [
    this.created,
    this.ended,
    this.duration,
    this.queue,
    this.handle,
    this.operation,
    this.polls,
    this.questions,
    this.answers,
    this.refusals,
    this.detached,
    this.takeovers,
    this.store,
    this.storeFailures,
    this.webhooks,
    this.clientEvents,
  ];

  /** Drops the series of a server. */
  drop(server: string): void {
    for (const family of this.families) family.drop((labels) => labels.server === server);
  }
}

/** The series of one tool. */
interface ToolMetrics {
  readonly created: Readonly<Record<Generation, Tally>>;
  readonly ended: Readonly<Record<OutcomeLabel, Tally>>;
  readonly duration: Distribution;
  readonly questions: Tally;
  readonly detached: Tally;
  readonly takeovers: Tally;
  readonly calls: Operations;
}

/** The series of one server, each kept where an observation finds it without a lookup by labels. */
export class ServerMetrics {
  readonly queue: Distribution;
  readonly handle: Distribution;
  readonly answers: Tally;
  readonly #own: Instruments;
  readonly #labels: Labels;
  /** Every tool has some sixty series. */
  readonly #tools: PerTool<ToolMetrics>;
  readonly #methods = new Map<string, Operations>();
  readonly #reads = new Map<string, Tally>();
  readonly #refusals = new Map<string, Tally>();

  constructor(own: Instruments, { name, lists }: ListingServer) {
    this.#own = own;
    this.#labels = { server: name };
    this.#tools = new PerTool(lists, (tool) => this.#newTool(tool));
    this.queue = own.queue.series(this.#labels);
    this.handle = own.handle.series(this.#labels);
    this.answers = own.answers.series(this.#labels);
    for (const method of METHODS.filter((each) => each !== "tools/call"))
      this.#methods.set(method, new Operations(own, { ...this.#labels, mcp_method_name: method }));
  }

  /** A tool that the server lists, or `_other`: clients may call any name. */
  tool(name: string): ToolMetrics {
    return this.#tools.find(name) ?? this.#tools.others;
  }

  operation(message: unknown, code: number | undefined): Distribution {
    const { method, params } = (message ?? {}) as { readonly method?: unknown; readonly params?: unknown };
    if (method === "tools/call") {
      const { name } = (params ?? {}) as { readonly name?: unknown };
      return this.tool(typeof name === "string" ? name : OTHER).calls.ended(code);
    }
    return (this.#methods.get(String(method)) ?? this.#otherMethods()).ended(code);
  }

  /** @param method one of the few by which clients get to know of tasks */
  read(method: string): Tally {
    return kept(this.#reads, method, () =>
      this.#own.polls.series({ ...this.#labels, mcp_method_name: method }),
    );
  }

  refusal(reason: string, limit = ""): Tally {
    // An error of a server may name a limit as well, of whatever name.
    const isKnown = this.#refusals.size < MAX_REFUSALS || this.#refusals.has(`${reason}\n${limit}`);
    const named = isKnown ? limit : OTHER;
    return kept(this.#refusals, `${reason}\n${named}`, () =>
      this.#own.refusals.series({ ...this.#labels, reason, limit: named }),
    );
  }

  #otherMethods(): Operations {
    return kept(
      this.#methods,
      OTHER,
      () => new Operations(this.#own, { ...this.#labels, mcp_method_name: OTHER }),
    );
  }

  #newTool(name: string): ToolMetrics {
    const own = this.#own;
    const labels = { ...this.#labels, tool: name };
    const created = (generation: Generation) => own.created.series({ ...labels, generation });
    const ended = (outcome: OutcomeLabel) => own.ended.series({ ...labels, outcome });
    return {
      created: recordOf(GENERATIONS, created),
      ended: recordOf(OUTCOMES, ended),
      duration: own.duration.series(labels),
      questions: own.questions.series(labels),
      detached: own.detached.series(labels),
      takeovers: own.takeovers.series(labels),
      calls: new Operations(own, {
        ...this.#labels,
        mcp_method_name: "tools/call",
        gen_ai_tool_name: name,
      }),
    };
  }
}

/** How long requests of one kind took: those without an error, and those with each type of error. */
class Operations {
  readonly #own: Instruments;
  readonly #labels: Labels;
  readonly #failed = new Map<string, Distribution>();
  #fine: Distribution | undefined;

  constructor(own: Instruments, labels: Labels) {
    this.#own = own;
    this.#labels = labels;
  }

  /** @param code of the JSON-RPC error that the request was answered with; `undefined`: with none */
  ended(code: number | undefined): Distribution {
    if (code === undefined) {
      this.#fine ??= this.#own.operation.series(this.#labels);
      return this.#fine;
    }
    const type = CODES.has(code) ? String(code) : "_OTHER";
    return kept(this.#failed, type, () => this.#own.operation.series({ ...this.#labels, error_type: type }));
  }
}

function kept<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function recordOf<Key extends string, Value>(
  keys: readonly Key[],
  make: (key: Key) => Value,
): Readonly<Record<Key, Value>> {
  return Object.fromEntries(keys.map((key) => [key, make(key)])) as Record<Key, Value>;
}
