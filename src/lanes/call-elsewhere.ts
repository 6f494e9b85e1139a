import { rpc } from "../protocol/errors.ts";
import type { TaskId, TaskView } from "../stores/task-store.ts";
import { follow } from "../tasks/follow.ts";
import { MAX_ROUNDS } from "../tasks/held.ts";
import { isModernInput } from "../tasks/input.ts";
import { answerWithOutcome, askFor, type Conduct, giveHandle } from "./call-answer.ts";
import { type Exchange, waiterOf } from "./lane.ts";

/** The round that a request answers, of the call that is the task `id`. Its number counts from 1. */
export interface AnsweredRound {
  readonly id: TaskId;
  readonly round: number;
}

/** Whether a client has been asked in so many rounds that, if it knows tasks, the next question is the task's. */
export function hasAskedOften(answered: AnsweredRound | undefined): boolean {
  return answered !== undefined && answered.round >= MAX_ROUNDS;
}

/**
 * A round of a call that runs in another gateway: what is known of it is what its record says. Stays until it has ended, asks
 * for something, takes too long, or the client has gone.
 */
export async function attendElsewhere(
  exchange: Exchange,
  how: Conduct,
  answered: AnsweredRound,
): Promise<void> {
  const { id, round } = answered;
  const { reply, route } = exchange;
  const { engine } = route;
  const { owner } = exchange;
  const over = new AbortController();
  const end = () => over.abort();
  const signals = [reply.gone, route.stopping];
  for (const signal of signals) signal.addEventListener("abort", end, { once: true });
  const window = how.mayBecomeTask ? setTimeout(end, how.policy.waitForMs) : undefined;
  reply.keepAlive();
  try {
    if (signals.some(({ aborted }) => aborted)) end();
    const waiter = waiterOf(exchange);
    const view = await follow(engine, id, owner, over.signal, hasNews, waiter);
    if (view?.outcome !== undefined) return answerWithOutcome(exchange, how, view.outcome);
    const isTasks = how.mayBecomeTask && hasAskedOften(answered);
    if (view !== undefined && !isTasks)
      return askFor(exchange, view.task.inputRequests, route.held.stateOf(view.task, round + 1));
    // The state is as good as before, and any other gateway will take it.
    if (route.stopping.aborted) throw rpc.stopping();
    if (!reply.gone.aborted) {
      const { task } = await engine.get(id, owner, waiter);
      await engine.tell(task, waiter);
      return giveHandle(exchange, task);
    }
    // Another round may have been given a handle: then the task is the client's, wherever this connection has gone.
    if (!(await engine.isTold(id))) await engine.cancel(id, owner);
  } finally {
    clearTimeout(window);
    for (const signal of signals) signal.removeEventListener("abort", end);
  }
}

function hasNews(view: TaskView): TaskView | undefined {
  const isAsking = Object.values(view.task.inputRequests).some(isModernInput);
  return view.outcome !== undefined || isAsking ? view : undefined;
}
