import type { Logger } from "pino";
import { Call } from "../../src/calls/call.ts";
import { Slots } from "../../src/calls/slots.ts";
import { nextMoment } from "../../src/calls/wait.ts";
import type { ToolPolicy } from "../../src/config/config.ts";
import type { Backend } from "../../src/store/backend.ts";
import { CellStore } from "../../src/store/cell-store.ts";
import type { TaskRecord, TaskStore } from "../../src/store/task-store.ts";
import { CallsAwaitingInput, type RequestIdentity } from "../../src/tasks/awaiting-input.ts";
import { givingUp } from "../../src/tasks/conduct.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import type { Revive } from "../../src/tasks/orphans.ts";
import { reviver } from "../../src/tasks/revive.ts";
import type { WaiterOf } from "../../src/tasks/store-wait.ts";
import type { ModernServer } from "../../src/upstream/modern/server.ts";
import type { SessionHolder } from "../../src/upstream/sessions/session.ts";
import type { Upstream } from "../../src/upstream/upstream.ts";
import type { CallScript } from "./script.ts";
import type { SimulatedServer } from "./simulated-server.ts";
import type { Program, Timeline } from "./timeline.ts";

export const ROUTE = "r";
export const CLAIMANT = { route: ROUTE, caller: "c" };
const CAPABILITIES = { elicitation: { form: {} } };

/** Where a gateway is not what it should be, to see whether anybody notices. */
export interface Mutation {
  readonly name: string;
  readonly backend?: (backend: Backend, timeline: Timeline) => Backend;
  readonly store?: (store: TaskStore) => TaskStore;
  readonly revive?: (revive: Revive) => Revive;
}

export interface GatewayTerms {
  readonly ttlMs: number;
  readonly maxRuntimeMs: number;
  readonly maxWaitMs: number;
  readonly maxConcurrent: number;
  readonly leaseMs: number;
}

export interface GatewayOptions {
  readonly program: Program;
  readonly timeline: Timeline;
  readonly backend: Backend;
  readonly server: SimulatedServer;
  readonly terms: GatewayTerms;
  readonly newId: () => string;
  readonly log: Logger;
  readonly mutation: Mutation | undefined;
  /** Told under which name it is known, before it has done anything. */
  readonly onEntered: (me: string) => void;
}

/** What the client of a call is told first. */
export type FirstAnswer =
  | { readonly kind: "handle"; readonly record: TaskRecord }
  | { readonly kind: "state"; readonly state: string; readonly asked: CallAsked }
  | { readonly kind: "over" };

export type CallAsked = Call["inputRequests"];

/** Wants to be told of everything. */
const SUBSCRIBER = "subscriber";

/** One gateway: the real engine over the real store, and as much of what stands before them as a call takes. */
export class Gateway {
  readonly program: Program;
  readonly store: TaskStore;
  readonly engine: TaskEngine;
  readonly held: CallsAwaitingInput;
  readonly #options: GatewayOptions;
  readonly #upstream: Upstream;
  readonly #slots: Slots;
  isStopping = false;

  static async start(options: GatewayOptions): Promise<Gateway> {
    const { timeline, terms, mutation, newId } = options;
    const backend = mutation?.backend?.(options.backend, timeline) ?? options.backend;
    const store = await CellStore.open({
      url: "simulated:",
      backend,
      clock: () => timeline.wallClock(),
      newId,
      leaseMs: terms.leaseMs,
      subscribers: () => [SUBSCRIBER],
    });
    options.onEntered(store.me);
    const gateway = new Gateway(options, mutation?.store?.(store) ?? store);
    void gateway.engine.begin();
    return gateway;
  }

  private constructor(options: GatewayOptions, store: TaskStore) {
    const { program, timeline, server, terms, log, mutation } = options;
    this.#options = options;
    this.program = program;
    this.store = store;
    this.#slots = new Slots({ maxConcurrent: terms.maxConcurrent, maxQueued: 10 });
    // As much of it as is used.
    const modern = {
      lease: (_owner: unknown, _headers: unknown, holder: SessionHolder) =>
        server.leaseModern(program, holder),
    };
    const upstream: Pick<Upstream, "lease" | "rejoin" | "modern"> = {
      modern: () => modern as unknown as ModernServer,
      lease: (_owner, holder) => server.lease(program, holder),
      rejoin: (rejoined, holder) => server.rejoin(program, rejoined as never, holder),
    };
    this.#upstream = upstream as Upstream;
    const clock = () => timeline.wallClock();
    const route = {
      config: { name: ROUTE },
      upstream: this.#upstream,
      slots: this.#slots,
      policy: () => ({ maxResultBytes: 10_000 }) as ToolPolicy,
    };
    const revive = reviver(
      (name) => (name === route.config.name ? route : undefined),
      (at) => clock() - at,
    );
    this.engine = new TaskEngine({
      store,
      log,
      clock,
      revive: mutation?.revive?.(revive) ?? revive,
      maxWaitMs: terms.maxWaitMs,
    });
    this.held = new CallsAwaitingInput(this.engine);
  }

  /** Begins a call, and tells its client what to do next. */
  async call(script: CallScript, waiter: WaiterOf): Promise<FirstAnswer> {
    const call = this.#newCall(script);
    const { maxResultBytes, task } = this.#taskOf(script);
    if (script.mode === "always" || script.mode === "keyed") {
      const keyed = script.mode === "keyed" ? { id: `key-of-${script.name}`, fingerprint: script.name } : {};
      const record = await this.engine
        .createTask(call, { ...task, ...keyed }, maxResultBytes, waiter)
        .catch(givingUp(call));
      if (this.engine.callOf(record.id) === call) call.start();
      else call.cancel("the same call has been made already");
      return { kind: "handle", record };
    }
    call.start();
    for (let windowMs = WINDOW_MS; ; ) {
      const moment = await nextMoment(call, { windowMs });
      try {
        if (moment === "ended") return { kind: "over" };
        if (moment === "asked" && script.mode === "round") {
          const asked = call.inputRequests;
          const state = await this.held.hold(call, identityOf(script), task, { maxResultBytes, round: 1 });
          return { kind: "state", state, asked };
        }
        if (moment === "elapsed" || moment === "asked")
          return { kind: "handle", record: await this.engine.createTask(call, task, maxResultBytes) };
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        windowMs = RETRY_MS;
        if (moment === "asked") await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /** Another round of a call, with answers: its client is given the task. */
  async round(script: CallScript, state: string, answers: Answers, waiter: WaiterOf): Promise<FirstAnswer> {
    const { task } = await this.held.resume(state, identityOf(script), waiter);
    await this.engine.update(task.id, CLAIMANT, answers, waiter);
    await this.engine.tell(task, waiter);
    return { kind: "handle", record: task };
  }

  /** As a gateway is stopped: lets go of what it has in its order. */
  async stop(onLeaving: () => void): Promise<void> {
    this.isStopping = true;
    this.engine.takeOverNoMore();
    await Promise.race([this.engine.settled(), new Promise((resolve) => setTimeout(resolve, DRAIN_MS))]);
    await this.engine.close();
    this.held.close();
    onLeaving();
    await this.store.leave().catch(() => {});
    await this.store.close();
  }

  #newCall({ name, mayRepeat, isModern }: CallScript): Call {
    const { program, server, terms } = this.#options;
    const repeatable = mayRepeat ? { mayRepeat } : {};
    const params = { name };
    const told = { method: "tools/call", params, capabilities: CAPABILITIES, headers: {}, ...repeatable };
    return new Call({
      lease: async (holder) =>
        isModern ? server.leaseModern(program, holder) : server.lease(program, holder),
      isModern,
      slots: this.#slots,
      caller: CLAIMANT.caller,
      capabilities: CAPABILITIES,
      method: "tools/call",
      params,
      maxRuntimeMs: terms.maxRuntimeMs,
      storedCall: isModern ? { ...told, isModern } : told,
    });
  }

  #taskOf({ name }: CallScript) {
    const { ttlMs, maxRuntimeMs } = this.#options.terms;
    const terms = { ttlMs, maxRuntimeMs, pollIntervalMs: 500, maxPollIntervalMs: 2_000 };
    return { maxResultBytes: 10_000, task: { ...CLAIMANT, tool: name, terms } };
  }
}

export type Answers = Readonly<Record<string, { readonly action: "accept"; readonly content: object }>>;

const WINDOW_MS = 200;
const RETRY_MS = 250;
const DRAIN_MS = 1_500;

function identityOf({ name }: CallScript): RequestIdentity {
  return { ...CLAIMANT, method: "tools/call", params: { name } };
}

function isUnavailable(error: unknown): boolean {
  return error instanceof Error && error.name === "StoreUnavailable";
}
