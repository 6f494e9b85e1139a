import type { CallOptions } from "../calls/call.ts";
import type { Rated } from "../limits/rates.ts";
import { isObject } from "../protocol/jsonrpc.ts";
import type { TaskView } from "../store/task-store.ts";
import { follow } from "../tasks/follow.ts";
import { pollIntervalMs } from "../tasks/state.ts";
import type { WaiterOf } from "../tasks/store-wait.ts";
import { MAX_SUBJECTS } from "./classify.ts";
import { type Exchange, type Identified, type Reply, type Services, taskIdOf, waiterOf } from "./request.ts";

type Admitted = Pick<Identified, "route" | "owner" | "quotaKey">;

type Waiter = Admitted & { readonly reply: Pick<Reply, "gone"> };

/** What a request takes of its caller's limits, and of those for all callers together. */
export class Admission {
  readonly #services: Pick<Services, "quotas" | "engine" | "pollThrottle" | "drain" | "stopping">;

  constructor(services: Pick<Services, "quotas" | "engine" | "pollThrottle" | "drain" | "stopping">) {
    this.#services = services;
  }

  /**
   * Lets a request through at the rate for its method, or a batch at the rates for its messages. `undefined`: at once, so that requests
   * which need not wait keep their order.
   * @throws RpcError, HTTP 429, at once or after a while
   */
  admitted(request: Waiter, message: unknown): Promise<void> | undefined {
    if (Array.isArray(message)) return this.#admittedTogether(request, message);
    const rated = rateOf(message);
    return (
      rated &&
      this.#services.quotas.pass(
        rated,
        request.quotaKey,
        request.route.config.name,
        request.reply,
        weightOf(message),
      )
    );
  }

  #admittedTogether(request: Waiter, messages: readonly unknown[]): Promise<void> | undefined {
    const { quotas } = this.#services;
    const pass = (rated: Rated): Promise<void> | undefined => {
      const count = messages
        .filter((message) => rateOf(message) === rated)
        .reduce<number>((sum, message) => sum + weightOf(message), 0);
      return count === 0
        ? undefined
        : quotas.pass(rated, request.quotaKey, request.route.config.name, request.reply, count);
    };
    const calls = pass("calls");
    return calls === undefined ? pass("polls") : calls.then(() => pass("polls"));
  }

  /**
   * Takes the place of a task for a call that may become one. To be called before anything begins, so that a refused call leaves no trace.
   * Returns the function that gives the place back.
   * @throws RpcError, naming the limit
   */
  takeTask(request: Admitted): () => void {
    const { quotas } = this.#services;
    const { slots } = request.route;
    const quotaKey = request.quotaKey;
    quotas.checkStored(quotaKey);
    if (slots.isFull(quotaKey.caller)) quotas.check("queued", quotaKey);
    return quotas.take("tasks", quotaKey);
  }

  /** The slots of a route for this caller's calls: a call that waits for a slot takes a place in the quota of queued calls. */
  slots(request: Admitted): CallOptions["slots"] {
    const { quotas } = this.#services;
    const { slots } = request.route;
    // The functions live as long as the call, which must not keep the request that began it.
    const { quotaKey } = request;
    return {
      isFull: (caller) => slots.isFull(caller),
      enter: (caller, begin) => {
        if (!slots.isFull(caller)) return slots.enter(caller, begin);
        const give = quotas.take("queued", quotaKey);
        const onTurn = () => {
          give();
          begin();
        };
        try {
          const leave = slots.enter(caller, onTurn);
          return () => {
            give();
            leave();
          };
        } catch (error) {
          give();
          throw error;
        }
      },
    };
  }

  /**
   * Reads a polled task, no more often than it may be polled; while the gateway stops, it reads a task that runs here once that has
   * ended or asks something. The view says when to poll again.
   * @throws -32602 when there is no such task, HTTP 429 when too many polls wait because they are too fast
   */
  async polled(exchange: Waiter & Pick<Exchange, "params" | "held">): Promise<TaskView> {
    const { engine, pollThrottle } = this.#services;
    const { owner } = exchange;
    const id = taskIdOf(exchange);
    const turn = pollThrottle.admit(id, owner, exchange.reply);
    if (turn !== undefined) await turn;
    const view = this.toFollow(
      exchange,
      await this.#whenOver(exchange, await engine.get(id, owner, this.#readerOf(exchange))),
    );
    pollThrottle.told(id, owner, intervalOf(view, engine.now()));
    return view;
  }

  /**
   * Waits until there is room to tell a task's result. Results of a store elsewhere are read no faster than there is room for them; those of
   * this process's memory would all be written at once.
   * @throws HTTP 503 when there is no room in time
   */
  async roomToTell({ outcome }: TaskView, reply: Pick<Reply, "room">): Promise<void> {
    if (this.#services.quotas.holdsStore && outcome?.kind === "completed")
      await reply.room?.(outcome.result.length);
  }

  /** As `waiterOf`, with room for a result that comes from elsewhere until the request has been answered. */
  #readerOf(exchange: Parameters<typeof waiterOf>[0] & Pick<Exchange, "held">): WaiterOf {
    const waiter = waiterOf(exchange);
    return this.#services.quotas.holdsStore ? waiter : () => ({ ...waiter(), room: exchange.held });
  }

  /**
   * Looks up the tasks of a subscription, none of them more often than it may be polled. Returns those that exist.
   * @throws RpcError, HTTP 429, when too many polls wait because they are too fast
   */
  async lookedUp(
    exchange: Waiter & Pick<Exchange, "params">,
    ids: readonly string[],
  ): Promise<ReadonlySet<string>> {
    const { engine, pollThrottle } = this.#services;
    const { owner } = exchange;
    const found = new Set<string>();
    await Promise.all(ids.map((id) => pollThrottle.admit(id, owner, exchange.reply)));
    for (const id of ids) {
      const view = await engine.seek(id, owner, waiterOf(exchange));
      if (view === undefined) continue;
      pollThrottle.told(id, owner, intervalOf(view, engine.now()));
      found.add(id);
    }
    return found;
  }

  /** A task as its client gets it: its poll interval keeps the client within the rates, and off a gateway that restarts. */
  toFollow(request: Admitted, view: TaskView): TaskView {
    const { engine, quotas, drain, stopping } = this.#services;
    const { task, outcome } = view;
    if (outcome !== undefined) return view;
    const own = intervalOf(view, engine.now());
    const usual = Math.max(own, quotas.pollIntervalMs(request.quotaKey));
    const intervalMs = stopping.aborted ? drain.intervalMs(usual) : usual;
    drain.told(task.id, intervalMs);
    if (intervalMs === own) return view;
    const terms = { ...task.terms, pollIntervalMs: intervalMs, maxPollIntervalMs: intervalMs };
    return { task: { ...task, terms } };
  }

  /** While the gateway stops, waits until a task that runs here has ended or asks something, or its client has gone. */
  async #whenOver(exchange: Waiter & Pick<Exchange, "params">, view: TaskView): Promise<TaskView> {
    const { engine, drain, stopping } = this.#services;
    const { owner } = exchange;
    const isNews = ({ task, outcome }: TaskView) =>
      outcome !== undefined || Object.keys(task.inputRequests).length > 0;
    if (!stopping.aborted || isNews(view)) return view;
    // The task may have ended since it was read: this gateway's last answer would be an old one.
    if (engine.callOf(view.task.id) === undefined) return engine.get(view.task.id, owner, waiterOf(exchange));
    let last = view;
    const look = (seen: TaskView) => {
      last = seen;
      return isNews(seen) || undefined;
    };
    await drain.wait(exchange.reply.gone, (until) => follow(engine, view.task.id, owner, until, look));
    return last;
  }
}

function rateOf(message: unknown): Rated | undefined {
  const method = isObject(message) ? message.method : undefined;
  if (method === "tools/call") return "calls";
  if (typeof method !== "string") return undefined;
  const isAboutTasks = method.startsWith("tasks/") || taskIdsOf(message).length > 0;
  return isAboutTasks ? "polls" : undefined;
}

/** A subscription looks up each of its tasks, as so many polls would. */
function weightOf(message: unknown): number {
  return Math.max(1, Math.min(taskIdsOf(message).length, MAX_SUBJECTS));
}

/** The tasks that a `subscriptions/listen` names; of any other message: none. */
function taskIdsOf(message: unknown): readonly unknown[] {
  if (!isObject(message) || message.method !== "subscriptions/listen" || !isObject(message.params)) return [];
  const { notifications } = message.params;
  return isObject(notifications) && Array.isArray(notifications.taskIds) ? notifications.taskIds : [];
}

function intervalOf({ task, outcome }: TaskView, now: number): number {
  return pollIntervalMs(task, outcome?.endedAt ?? now);
}
