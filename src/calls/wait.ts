import type { Signal } from "../lib/signal.ts";
import type { Call } from "./call.ts";

/** What a client's request can wait for in a call, whichever comes first. */
export type Moment = "ended" | "asked" | "accepted" | "elapsed" | "gone";

export interface Wait {
  /** How long the server may take before the client gets a handle; counted from when the call is sent. Absent: for ever. */
  readonly windowMs?: number;
  /** Aborts when the client hangs up; absent when that does not end the wait. */
  readonly gone?: Signal;
  /** Whether it is enough that the server has not refused the call. */
  readonly untilAccepted?: boolean;
  /** Whether `windowMs` counts from now, also for a call that is yet to be sent. */
  readonly isWindowFixed?: boolean;
  /** Ends the window early; absent: nothing does. */
  readonly hurry?: AbortSignal;
  /** Whether questions are no news, because the client gets them in another way. */
  readonly ignoresQuestions?: boolean;
}

/** Questions that the server asks in quick succession reach the client together. */
const BREATH_MS = 20;
/** A call that is not even sent by then gets a handle, however short its window: it may stay in the queue for long. */
const MIN_QUEUED_MS = 2_000;

/** Resolves with the first of these moments; one that has passed already counts. */
export function nextMoment(call: Call, wait: Wait): Promise<Moment> {
  const { windowMs, gone, hurry, untilAccepted = false, isWindowFixed = false } = wait;
  if (call.end !== undefined) return Promise.resolve("ended");
  if (gone?.aborted) return Promise.resolve("gone");
  if (hurry?.aborted) return Promise.resolve("elapsed");
  return new Promise((resolve) => {
    let breath: NodeJS.Timeout | undefined;
    let window: NodeJS.Timeout | undefined;
    const settle = (moment: Moment) => {
      clearTimeout(breath);
      clearTimeout(window);
      gone?.removeEventListener("abort", onGone);
      hurry?.removeEventListener("abort", onHurry);
      stopListening();
      resolve(moment);
    };
    const onGone = () => settle("gone");
    const onHurry = () => settle("elapsed");
    const open = (ms: number) => {
      clearTimeout(window);
      window = setTimeout(() => settle("elapsed"), ms);
    };
    const onQuestions = () => {
      clearTimeout(breath);
      if (call.isAsking && !wait.ignoresQuestions) breath = setTimeout(() => settle("asked"), BREATH_MS);
    };
    const stopListening = call.listen({
      onSent: () => windowMs !== undefined && !isWindowFixed && open(windowMs),
      onAccepted: () => untilAccepted && settle("accepted"),
      onQuestions,
      onEnd: () => settle("ended"),
    });
    gone?.addEventListener("abort", onGone, { once: true });
    hurry?.addEventListener("abort", onHurry, { once: true });
    const isQueued = call.state === "queued" && !isWindowFixed;
    if (windowMs !== undefined) open(isQueued ? Math.max(windowMs, MIN_QUEUED_MS) : windowMs);
    onQuestions();
  });
}
