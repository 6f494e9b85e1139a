import { RpcError } from "../../src/protocol/errors.ts";
import { StoreUnavailable, type TaskView } from "../../src/store/task-store.ts";
import type { StoreWaiter } from "../../src/tasks/store-wait.ts";
import type { Random } from "../survival/support/seeded.ts";
import { type Answers, CLAIMANT, type FirstAnswer, type Gateway } from "./gateway.ts";
import type { Followed, Ledger } from "./ledger.ts";
import type { Timeline } from "./timeline.ts";

/** How a client reaches the gateways. */
export interface Way {
  readonly timeline: Timeline;
  readonly ledger: Ledger;
  readonly maxWaitMs: number;
  /** One that answers; undefined: there is none now. `isFirst`: for the call itself. */
  gateway(isFirst?: boolean): Gateway | undefined;
  /** Has a gateway do something; what comes of it, or that the connection was cut, is told later. */
  ask<T>(gateway: Gateway, what: string, work: () => Promise<T>, reply: (reply: Reply<T>) => void): void;
  readonly trace: (line: () => string) => void;
}

export type Reply<T> =
  | { readonly kind: "given"; readonly given: T }
  | { readonly kind: "refused"; readonly error: unknown }
  | { readonly kind: "cut" };

export interface ClientHabits {
  /** One poll in so many that shows questions answers none. */
  readonly hesitates: number;
  /** One poll in so many cancels; 0: none. */
  readonly cancels: number;
  /** Whether it comes back for the result only in the end. */
  readonly isAway: boolean;
}

const POLL_MS = 400;
const NOBODY_MS = 150;

/** Whoever calls a tool, follows the task that comes of it, and answers what is asked. */
export class Client {
  readonly followed: Followed;
  readonly #way: Way;
  readonly #habits: ClientHabits;
  readonly #random: Random;
  #gaveUp = false;
  #answers = 0;
  /** From now on it answers everything at once, and cancels nothing. */
  isCalm = false;

  constructor(way: Way, followed: Followed, habits: ClientHabits) {
    this.#way = way;
    this.followed = followed;
    this.#habits = habits;
    this.#random = way.timeline.random;
  }

  /** Whether it waits for nothing any more. */
  get isDone(): boolean {
    return this.#gaveUp || this.followed.ending !== undefined;
  }

  begin(): void {
    const { script } = this.followed;
    const gateway = this.#way.gateway(true);
    if (gateway === undefined) return this.#later(NOBODY_MS, () => this.begin());
    // A proxy may send such a call twice as well.
    const other = script.mode === "keyed" && this.#random.between(0, 2) === 0 && this.#way.gateway();
    if (other)
      this.#way.ask(
        other,
        `call ${script.name} as well`,
        () => this.#call(other),
        () => {},
      );
    this.#way.ask(
      gateway,
      `call ${script.name}`,
      () => this.#call(gateway),
      (reply) => this.#begun(reply),
    );
  }

  /** Asks once more what became of it, and once as somebody else. */
  lookAgain(done: () => void): void {
    const { id, script } = this.followed;
    const gateway = this.#way.gateway();
    if (id === undefined || this.followed.toldAt === undefined || gateway === undefined) return done();
    const stranger = { ...CLAIMANT, caller: "somebody else" };
    this.#way.ask(
      gateway,
      `${script.name} for somebody else`,
      () => gateway.engine.get(id, stranger),
      (reply) => {
        if (reply.kind === "given") this.#way.ledger.broken(`${script.name} was shown to somebody else`);
      },
    );
    this.#poll(done);
  }

  #call(gateway: Gateway): Promise<FirstAnswer> {
    return gateway.call(this.followed.script, this.#waiter()).then((first) => {
      if (first.kind === "handle") this.#way.ledger.told(this.followed.script, first.record);
      return first;
    });
  }

  #begun(reply: Reply<FirstAnswer>): void {
    const { script } = this.followed;
    const isUnheard =
      reply.kind === "cut" || (reply.kind === "refused" && !(reply.error instanceof RpcError));
    if (script.mode === "keyed" && isUnheard) return this.#later(NOBODY_MS, () => this.begin());
    // Whoever has no handle knows of no task, and does not make the call again.
    if (reply.kind !== "given" || reply.given.kind === "over") {
      this.#gaveUp = true;
      return;
    }
    const first = reply.given;
    if (first.kind === "handle") return this.#followAtLast();
    const answers = Object.fromEntries(Object.keys(first.asked).map((key) => [key, this.#answer()]));
    const again = () => {
      const gateway = this.#way.gateway();
      if (gateway === undefined) return this.#later(NOBODY_MS, again);
      const round = async () => {
        const next = await gateway.round(script, first.state, answers, this.#waiter());
        if (next.kind === "handle") this.#way.ledger.told(script, next.record);
      };
      this.#way.ask(gateway, `round of ${script.name}`, round, (next) => {
        if (next.kind === "given") return this.#followAtLast();
        // Its task may have ended meanwhile, and be gone, for a client that was never told of it.
        if (next.kind === "refused" && next.error instanceof RpcError) {
          this.#gaveUp = true;
          return;
        }
        this.#later(NOBODY_MS, again);
      });
    };
    this.#later(this.#random.between(0, 500), again);
  }

  #followAtLast(): void {
    this.followed.hasHandle = true;
    this.#follow();
  }

  #follow(): void {
    if (this.isDone) return;
    if (this.#habits.isAway && !this.isCalm) return this.#later(POLL_MS, () => this.#follow());
    this.#later(this.#random.between(0, POLL_MS), () => this.#poll(() => this.#follow()));
  }

  #poll(next: () => void): void {
    const { id, script } = this.followed;
    const gateway = this.#way.gateway();
    if (id === undefined || gateway === undefined) return this.#later(NOBODY_MS, next);
    const { timeline, ledger, maxWaitMs, trace } = this.#way;
    const { cancels } = this.#habits;
    if (cancels > 0 && !this.isCalm && this.#random.between(1, cancels) === 1)
      return this.#cancel(id, gateway, next);
    const sinceMs = timeline.now;
    this.#way.ask(
      gateway,
      `poll ${script.name}`,
      () => gateway.engine.get(id, CLAIMANT, this.#waiter()),
      (reply) => {
        switch (reply.kind) {
          case "given":
            trace(() => `client: ${script.name} is ${stateOf(reply.given)}`);
            ledger.seen(this.followed, reply.given, gateway.program, sinceMs);
            if (reply.given.outcome !== undefined) return this.#doubt(next);
            return this.#react(id, reply.given, next);
          case "refused":
            if (reply.error instanceof RpcError && reply.error.code === -32602) {
              ledger.unknown(this.followed);
              // Without a store that remembers, there is nothing to come back for.
              if (this.followed.wasForgotten) this.#gaveUp = true;
            } else if (!(reply.error instanceof StoreUnavailable)) {
              ledger.broken(`${script.name}: a poll was answered with ${String(reply.error)}`);
            } else if (timeline.now - sinceMs < maxWaitMs && !gateway.isStopping) {
              ledger.broken(
                `${script.name}: a poll was refused after ${Math.round(timeline.now - sinceMs)} ms`,
              );
            }
            return next();
          case "cut":
            return next();
        }
      },
    );
  }

  /** Asks now and then whether it is still so. */
  #doubt(next: () => void): void {
    if (this.#random.between(0, 1) === 0) return next();
    this.#later(this.#random.between(0, 300), () => this.#poll(next));
  }

  /** Answers what is asked, now and then twice at the same time and not in the same way. */
  #react(id: string, { task }: TaskView, next: () => void): void {
    const keys = Object.keys(task.inputRequests);
    const hesitates =
      !this.isCalm && this.#habits.hesitates > 0 && this.#random.between(1, this.#habits.hesitates) === 1;
    if (keys.length === 0 || hesitates) return next();
    const times = this.#random.between(0, 3) === 0 ? 2 : 1;
    for (let time = 0; time < times; time += 1) {
      const gateway = this.#way.gateway();
      if (gateway === undefined) continue;
      const answers = Object.fromEntries(keys.map((key) => [key, this.#answer()]));
      const update = () => gateway.engine.update(id, CLAIMANT, answers, this.#waiter());
      this.#way.ask(gateway, `answer ${keys.join(" ")} of ${this.followed.script.name}`, update, (reply) => {
        if (reply.kind !== "given") return;
        for (const key of keys) {
          const step = /^q(\d+)$/.exec(key)?.[1];
          if (step !== undefined) this.#way.ledger.answerTaken(this.followed, Number(step), gateway.program);
        }
      });
    }
    next();
  }

  #cancel(id: string, gateway: Gateway, next: () => void): void {
    const { timeline, ledger } = this.#way;
    this.followed.wasCancelled = true;
    const sinceMs = timeline.now;
    const cancel = () => gateway.engine.cancel(id, CLAIMANT, this.#waiter());
    this.#way.ask(gateway, `cancel ${this.followed.script.name}`, cancel, (reply) => {
      if (reply.kind === "given") ledger.seen(this.followed, reply.given.view, gateway.program, sinceMs);
      if (reply.kind === "refused" && reply.error instanceof RpcError) ledger.unknown(this.followed);
      next();
    });
  }

  #answer(): Answers[string] {
    this.#answers += 1;
    return { action: "accept", content: { value: `${this.followed.script.name}-${this.#answers}` } };
  }

  #waiter(): () => StoreWaiter {
    return () => ({ caller: CLAIMANT.caller, gone: new AbortController().signal, bytes: 100 });
  }

  #later(ms: number, run: () => void): void {
    this.#way.timeline.after(ms, `client of ${this.followed.script.name}`, run);
  }
}

function stateOf({ task, outcome }: TaskView): string {
  const asked = Object.keys(task.inputRequests);
  return (
    outcome?.kind ??
    (asked.length === 0 ? `working (${task.statusMessage ?? ""})` : `asking ${asked.join(" ")}`)
  );
}
