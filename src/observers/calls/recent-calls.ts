import { OUTCOMES, type OutcomeLabel } from "../outcome-label.ts";
import type { Ending } from "./call-counts.ts";
import { Durations } from "./durations.ts";

/** What happened in one step of time. */
export interface StepSample {
  /** Requests of clients for calls that were over, by how. */
  readonly calls: Readonly<Record<Ending, number>>;
  /** How long calls took whose result came, those of tasks included. 0: none came. */
  readonly p50Ms: number;
  readonly p95Ms: number;
  /** Tasks that ended, by how. */
  readonly tasks: Readonly<Record<OutcomeLabel, number>>;
}

export const STEP_MS = 10_000;
/** A quarter of an hour. */
export const STEPS = 90;
const ENDINGS: readonly Ending[] = ["answered", "abandoned", "failed", "refused", "interim"];

/** What became of the calls of the last minutes, of all servers, for charts. 80 KB at most. */
export class RecentCalls {
  readonly #steps: Step[] = [];

  over(ending: Ending, at: number): void {
    this.#at(at).calls[ending] += 1;
  }

  took(ms: number, at: number): void {
    this.#at(at).took.observe(ms);
  }

  taskEnded(outcome: OutcomeLabel, at: number): void {
    this.#at(at).tasks[outcome] += 1;
  }

  /** By step, the oldest first; the last step has only begun. */
  samples(now: number): readonly StepSample[] {
    const last = Math.floor(now / STEP_MS);
    return Array.from({ length: STEPS }, (_, n) => {
      const number = last - STEPS + 1 + n;
      const known = this.#steps[(number + STEPS) % STEPS];
      const { calls, took, tasks } = known?.number === number ? known : new Step(number);
      return {
        calls,
        p50Ms: Math.round(took.quantile(0.5)),
        p95Ms: Math.round(took.quantile(0.95)),
        tasks,
      };
    });
  }

  #at(at: number): Step {
    const number = Math.floor(at / STEP_MS);
    const place = number % STEPS;
    let step = this.#steps[place];
    if (step?.number !== number) {
      step = new Step(number);
      this.#steps[place] = step;
    }
    return step;
  }
}

class Step {
  readonly number: number;
  readonly calls = zeros(ENDINGS);
  readonly took = new Durations();
  readonly tasks = zeros(OUTCOMES);

  constructor(number: number) {
    this.number = number;
  }
}

function zeros<Key extends string>(keys: readonly Key[]): Record<Key, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<Key, number>;
}
