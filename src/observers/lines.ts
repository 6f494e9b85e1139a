import type { Logger } from "pino";
import { durationText } from "../lib/duration-text.ts";
import { ownPart } from "../log/own-words.ts";
import { taskFields } from "../log/task-name.ts";
import { throttled } from "../log/throttled.ts";
import type { Outcome, TaskRecord } from "../store/task-store.ts";
import type { Observer, Refused, TaskEvent } from "../tasks/task-event.ts";

export interface LinesOptions {
  readonly log: Logger;
  /** How lines name a caller. */
  readonly nameOf: (caller: string) => string;
}

/** A call that waited for less needs no word about it. */
const WAITED_MS = 1_000;

/**
 * Writes a log line for each thing that matters to whoever runs the gateway: a task is there, has to wait, asks, has ended, and how long that took;
 * and who was refused, by which limit. The lines have no words of servers and clients, apart from the names of tools.
 */
export function lines({ log, nameOf }: LinesOptions): Observer {
  const say = (level: "debug" | "info" | "warn", event: string, task: TaskRecord, text: string) => {
    // Every poll is an event: the name of its task costs more than all else that is said of it.
    if (!log.isLevelEnabled(level)) return;
    const { route: server, tool } = task;
    log[level]({ server, ...taskFields(task), event, tool }, `${tool}: ${text}`);
  };
  return (event: TaskEvent) => {
    switch (event.kind) {
      case "created": {
        const { task, isHeld, kind } = event;
        // A client that is to answer first may never hear of the task.
        return say(isHeld ? "debug" : "info", kind, task, "began");
      }
      case "sent": {
        const { kind, task, queueMs } = event;
        if (queueMs >= WAITED_MS) say("info", kind, task, `works, after ${durationText(queueMs)} of waiting`);
        return;
      }
      case "progress": {
        const { progress, total } = event.progress;
        return say(
          "debug",
          event.kind,
          event.task,
          `${progress}${total === undefined ? "" : ` of ${total}`}`,
        );
      }
      case "asked":
        return say("info", event.kind, event.task, `asks ${count(event.questions, "question")}`);
      case "answered":
        return say("info", event.kind, event.task, `got ${count(event.answers, "answer")}`);
      case "detached":
        return say(
          "info",
          event.kind,
          event.task,
          "its client knows no tasks; the model is to ask for the result",
        );
      case "adopted":
        return say("info", event.kind, event.task, "taken over from a gateway that stopped");
      case "left":
        return say("info", event.kind, event.task, "left to another gateway");
      case "ended": {
        const { task, outcome, kind } = event;
        const after = `after ${durationText(outcome.endedAt - task.createdAt)}`;
        return say(levelOf(outcome), kind, task, endText(outcome, after));
      }
      case "read":
        return say("debug", event.kind, event.task, `read by ${event.method}`);
      case "refused":
        return sayRefusal(log, event, nameOf);
      // Its end says it.
      case "cancelled":
      case "listed":
        return;
    }
  };
}

function levelOf({ kind }: Outcome): "info" | "warn" {
  return kind === "failed" || kind === "lost" ? "warn" : "info";
}

function endText(outcome: Outcome, after: string): string {
  switch (outcome.kind) {
    case "completed":
      return `completed ${after}${outcome.failure === undefined ? "" : ", with an error of the tool"}`;
    case "failed":
    case "cancelled": {
      const reason = reasonOf(outcome);
      return `${outcome.kind} ${after}${reason === undefined ? "" : `: ${reason}`}`;
    }
    case "lost":
      return `lost ${after}. ${outcome.reason}`;
  }
}

/** Why a task ended without a result, without words of servers and clients. `undefined`: nobody said why, or it has one that is no error. */
export function reasonOf(outcome: Outcome): string | undefined {
  switch (outcome.kind) {
    case "completed":
      return outcome.failure === undefined ? undefined : "an error of the tool";
    case "failed": {
      const { code, message } = outcome.error;
      return outcome.isOurs ? ownPart("RpcError", message) : `error ${code} of the server`;
    }
    case "cancelled":
      return outcome.reason === undefined ? undefined : ownPart("RpcError", outcome.reason);
    case "lost":
      return outcome.reason;
  }
}

/** Anybody can cause as many refusals as they like: of each kind there is one line a second. */
function sayRefusal(
  log: Logger,
  { kind, route, ...refused }: { readonly kind: string } & Refused,
  nameOf: LinesOptions["nameOf"],
): void {
  const { reason, limit, method, status } = refused;
  const caller = refused.caller === undefined ? {} : { caller: nameOf(refused.caller) };
  const details = {
    server: route,
    event: kind,
    ...caller,
    method,
    status,
    ...(limit === undefined ? {} : { setting: limit }),
  };
  switch (reason) {
    case "limit":
      return throttled(log).say("warn", details, "a request was refused: the limit is reached");
    case "no valid credential":
      return throttled(log).say("warn", details, "a request was refused: it has no valid credential");
    case "forbidden":
      return throttled(log).say("warn", details, "a request was refused: it is forbidden");
    case "foreign task":
    case "foreign state":
      return throttled(log).say("warn", details, "a request was refused: it is about another caller's task");
    // Tasks go when their time is over, and clients ask once more.
    case "unknown task":
      return;
  }
}

function count(number: number, what: string): string {
  return number === 1 ? `1 ${what}` : `${number} ${what}s`;
}
