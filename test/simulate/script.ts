import type { Random } from "../survival/support/seeded.ts";

/** What a server does with one call: known before it begins, so that it can be judged what came of it. */
export interface CallScript {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly ending: "result" | "error" | "silence";
  /** Whether the server keeps the events of its streams, so that a call can be picked up. */
  readonly keepsEvents: boolean;
  /** Whether the server speaks 2026-07-28: a question ends a round, and its answer begins the next. */
  readonly isModern: boolean;
  /** The stream breaks at that step, where events are not kept; absent: it does not. */
  readonly breaksAt?: number;
  /** As `onLoss: retry`. */
  readonly mayRepeat: boolean;
  /** How its client begins it. `keyed`: as `always`, and again under the same idempotency key when it hears nothing. */
  readonly mode: "always" | "keyed" | "auto" | "round";
}

export interface Step {
  readonly afterMs: number;
  readonly kind: "progress" | "question";
}

/** `isPlain`: it works for a while, asks nothing and answers. */
export function drawScript(random: Random, name: string, isPlain: boolean): CallScript {
  if (isPlain) {
    const steps: readonly Step[] = [{ afterMs: random.between(200, 1_500), kind: "progress" }];
    return {
      name,
      steps,
      ending: "result",
      keepsEvents: false,
      isModern: false,
      mayRepeat: false,
      mode: "always",
    };
  }
  const steps = Array.from(
    { length: random.between(0, 4) },
    (): Step => ({
      afterMs: random.between(0, random.one([10, 300, 2_000])),
      kind: random.one(["progress", "question", "question"]),
    }),
  );
  const isModern = random.between(0, 3) === 0;
  const keepsEvents = !isModern && random.between(0, 1) === 1;
  const breaks = !keepsEvents && random.between(0, 9) === 0 && steps.length > 0;
  return {
    name,
    steps,
    ending: random.one(["result", "result", "result", "result", "error", "silence"]),
    keepsEvents,
    isModern,
    ...(breaks ? { breaksAt: random.between(0, steps.length - 1) } : {}),
    mayRepeat: random.between(0, 5) === 0,
    mode: random.one(["always", "keyed", "auto", "round"]),
  };
}

/** What is asked at a step, and under which name. */
export const questionKey = (step: number) => `q${step}`;
export const questionText = ({ name }: CallScript, step: number) => `${name}: ${questionKey(step)}?`;
export const resultText = ({ name }: CallScript) => `result of ${name}`;
