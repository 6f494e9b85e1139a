import type { StoreOperation } from "../../store/options.ts";
import type { RunningState } from "../../tasks/running-tasks.ts";
import type { Observer, TaskEvent } from "../../tasks/task-event.ts";
import { outcomeOf } from "../outcome-label.ts";
import type { ListingServer } from "../per-tool.ts";
import { type Scrape, scrapeOf } from "./exposition.ts";
import { counter, type Family, gauge, type Sample } from "./families.ts";
import type { Distribution, Tally } from "./numbers.ts";
import { ProcessMetrics } from "./process.ts";
import { Instruments, ServerMetrics } from "./server-metrics.ts";

/** What the metrics look up for each scrape. */
export interface MetricsSources {
  readonly version: string;
  /** The servers, in the order of the configuration, which may change. */
  readonly servers: () => readonly ServerSource[];
  /** The names of the webhooks. */
  readonly webhooks: readonly string[];
  /** How many subscriptions of clients this gateway delivers to. Absent: clients have none. */
  readonly subscriptions?: () => number;
  /** What has become of attempts to take over another configuration. */
  readonly reloads: ReloadCounts;
  /** How many unfinished tasks of each server have their calls here, by state. */
  readonly tasks: () => Iterable<Pick<RunningState, "server" | "state">>;
  /** Finished results that the store has not accepted yet. */
  readonly unwrittenBytes: () => number;
  /** What this process has stored and has not expired. */
  readonly storedBytes: () => number;
}

export interface ReloadCounts {
  /** By outcome. */
  readonly counts: Readonly<Record<string, number>>;
  /** Whether the last configuration that was read was good; also the first. */
  readonly isGood: boolean;
}

export interface ServerSource extends ListingServer {
  readonly sessions: () => number;
  /** Whether it was there when the gateway last had to do with it; `undefined`: the gateway does not know yet. */
  readonly isThere: () => boolean | undefined;
  /** How often it came back after it had gone. */
  readonly returns: () => number;
}

type DeliveryLabel = "delivered" | "failed" | "given up";

/** The metrics of a gateway (`/metrics`). */
export class Metrics {
  readonly #families: readonly Family[];
  readonly #process = new ProcessMetrics();
  readonly #sources: MetricsSources;
  readonly #own = new Instruments();
  /** Also those that were removed and still drain. */
  readonly #servers = new Map<string, ServerMetrics>();
  readonly #store: Readonly<Record<StoreOperation, Distribution>>;
  readonly #storeFailures: Tally;
  readonly #webhooks: ReadonlyMap<string, Readonly<Record<DeliveryLabel, Tally>>>;
  readonly #clients: Readonly<Record<DeliveryLabel, Tally>> | undefined;
  #isStoreThere = true;

  constructor(sources: MetricsSources) {
    this.#sources = sources;
    const own = this.#own;
    const operation = (name: StoreOperation) => own.store.series({ operation: name });
    this.#store = {
      read: operation("read"),
      write: operation("write"),
      claim: operation("claim"),
      list: operation("list"),
    };
    this.#storeFailures = own.storeFailures.series({});
    const triesOf = (series: (labels: { readonly outcome: string }) => Tally) => ({
      delivered: series({ outcome: "delivered" }),
      failed: series({ outcome: "failed" }),
      "given up": series({ outcome: "given_up" }),
    });
    this.#webhooks = new Map(
      sources.webhooks.map((webhook) => [
        webhook,
        triesOf(({ outcome }) => own.webhooks.series({ webhook, outcome })),
      ]),
    );
    this.#clients = sources.subscriptions && triesOf((labels) => own.clientEvents.series(labels));
    this.#families = [...own.families, ...lookedUp(sources, () => this.#isStoreThere)];
  }

  /** Counts what happens to tasks. */
  readonly observe: Observer = (event) => {
    const server = this.#serverOf(event.kind === "refused" ? event.route : routeOf(event));
    if (server !== undefined) count(event, server);
  };

  /**
   * A request of a client is over.
   * @param code of the JSON-RPC error that the gateway answered with; `undefined`: it did not answer with one of its own
   * @param ms how long the request took
   */
  answered(server: string, message: unknown, code: number | undefined, ms: number): void {
    this.#serverOf(server)
      ?.operation(message, code)
      .observe(ms / 1_000);
  }

  /** Drops the series of a server that was removed. */
  forget(server: string): void {
    this.#servers.delete(server);
    this.#own.drop(server);
  }

  #serverOf(name: string): ServerMetrics | undefined {
    const known = this.#servers.get(name);
    if (known !== undefined) return known;
    const source = this.#sources.servers().find((server) => server.name === name);
    const made = source && new ServerMetrics(this.#own, source);
    if (made !== undefined) this.#servers.set(name, made);
    return made;
  }

  /** @param ms how long the store took; `isAway`: it did not answer */
  stored(operation: StoreOperation, ms: number, isAway: boolean): void {
    this.#store[operation].observe(ms / 1_000);
    this.#isStoreThere = !isAway;
    if (isAway) this.#storeFailures.value += 1;
  }

  /** A receiver was told of an event, or the gateway gave that up. */
  told(webhook: string, outcome: DeliveryLabel): void {
    const tally = this.#webhooks.get(webhook)?.[outcome];
    if (tally !== undefined) tally.value += 1;
  }

  /** As `told`, of a client's subscription. */
  toldClient(outcome: DeliveryLabel): void {
    const tally = this.#clients?.[outcome];
    if (tally !== undefined) tally.value += 1;
  }

  /** @param accept the header of the request */
  async scrape(accept?: string): Promise<Scrape> {
    // A server that nothing has happened to has its series, too.
    for (const { name } of this.#sources.servers()) this.#serverOf(name);
    return scrapeOf([...this.#families, ...(await this.#process.families())], accept);
  }
}

function routeOf(event: Exclude<TaskEvent, { readonly kind: "refused" }>): string {
  return event.kind === "listed" ? event.owner.route : event.task.route;
}

function count(event: TaskEvent, server: ServerMetrics): void {
  switch (event.kind) {
    case "created": {
      const { tool, generation = "2026-07-28" } = event.task;
      server.tool(tool).created[generation].value += 1;
      server.handle.observe(event.handleMs / 1_000);
      return;
    }
    case "sent":
      return server.queue.observe(event.queueMs / 1_000);
    case "asked":
      server.tool(event.task.tool).questions.value += event.questions;
      return;
    case "answered":
      server.answers.value += event.answers;
      return;
    case "detached":
      server.tool(event.task.tool).detached.value += 1;
      return;
    case "adopted":
      server.tool(event.task.tool).takeovers.value += 1;
      return;
    case "read":
      server.read(event.method).value += 1;
      return;
    case "listed":
      server.read("tasks/list").value += 1;
      return;
    case "ended": {
      const { task, outcome } = event;
      const tool = server.tool(task.tool);
      tool.ended[outcomeOf(outcome)].value += 1;
      tool.duration.observe(Math.max(0, outcome.endedAt - task.createdAt) / 1_000);
      return;
    }
    case "refused":
      server.refusal(event.reason, event.limit).value += 1;
      return;
    case "progress":
    case "cancelled":
    case "left":
      return;
  }
}

function lookedUp(sources: MetricsSources, isStoreThere: () => boolean): readonly Family[] {
  const { version, servers, tasks, storedBytes, unwrittenBytes, reloads, subscriptions } = sources;
  const ofEach = (value: (server: ServerSource) => number | undefined) => (): readonly Sample[] =>
    servers().flatMap((server) => {
      const now = value(server);
      return now === undefined ? [] : [{ labels: { server: server.name }, value: now }];
    });
  const one = (value: () => number) => (): readonly Sample[] => [{ labels: {}, value: value() }];
  return [
    gauge("taskgate_tasks", "Unfinished tasks whose calls are here, by state.", () =>
      tasksByState(servers(), tasks()),
    ),
    gauge(
      "taskgate_upstream_up",
      "Whether the server was there when the gateway last had to do with it.",
      ofEach(({ isThere }) => {
        const is = isThere();
        return is === undefined ? undefined : Number(is);
      }),
    ),
    gauge(
      "taskgate_upstream_sessions",
      "Sessions with the server that are open.",
      ofEach(({ sessions }) => sessions()),
    ),
    counter(
      "taskgate_upstream_restarts_total",
      "How often the server was back after it had gone.",
      ofEach(({ returns }) => returns()),
    ),
    gauge(
      "taskgate_store_up",
      "Whether the task store answered the last operation.",
      one(() => Number(isStoreThere())),
    ),
    gauge("taskgate_store_bytes", "What this process has stored and has not expired.", one(storedBytes)),
    gauge(
      "taskgate_store_unwritten_bytes",
      "Finished results that the task store has not accepted yet.",
      one(unwrittenBytes),
    ),
    ...(subscriptions === undefined
      ? []
      : [
          gauge(
            "taskgate_event_subscriptions",
            "Subscriptions of clients that this gateway delivers to.",
            one(subscriptions),
          ),
        ]),
    counter("taskgate_config_reloads_total", "Attempts to take over another configuration, by outcome.", () =>
      Object.entries(reloads.counts).map(([outcome, value]) => ({ labels: { outcome }, value })),
    ),
    gauge(
      "taskgate_config_last_reload_successful",
      "Whether the configuration that was read last is in force; also at the start.",
      one(() => Number(reloads.isGood)),
    ),
    gauge("taskgate_build_info", "Which program this is; always 1.", () => [
      { labels: { version, node: process.version }, value: 1 },
    ]),
  ];
}

const STATES: readonly RunningState["state"][] = ["queued", "working", "input_required"];

function tasksByState(
  servers: readonly ServerSource[],
  tasks: ReturnType<MetricsSources["tasks"]>,
): readonly Sample[] {
  const counts = new Map<string, number>();
  for (const { server, state } of tasks)
    counts.set(`${server}\n${state}`, (counts.get(`${server}\n${state}`) ?? 0) + 1);
  return servers.flatMap(({ name }) =>
    STATES.map((state) => ({ labels: { server: name, state }, value: counts.get(`${name}\n${state}`) ?? 0 })),
  );
}
