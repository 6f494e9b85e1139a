import { createHmac, randomInt } from "node:crypto";
import { makesTasks } from "../calls/policy.ts";
import type { FallbackPolicy } from "../config/config.ts";
import { isObject, type JsonObject, RawJson, toJson } from "../protocol/jsonrpc.ts";
import type { Outcome, TaskId, TaskRecord } from "../store/task-store.ts";
import type { CallTask } from "../tasks/engine.ts";
import { withFallbackTools } from "./amended.ts";
import { callTask, type Identified, type Route } from "./request.ts";

/**
 * The fallback for clients that know no tasks (`fallback: tools`): a call that takes long becomes a task, its client gets an ordinary result
 * in words for its model, and the model asks for the task by calling one of two tools that the gateway adds to the server's. Everything that
 * such a client or its model sees of this is here.
 */

/** What the gateway's own tools do. */
export type FallbackTool = "result" | "cancel";

const TOOLS: readonly FallbackTool[] = ["result", "cancel"];

/** No vowels, so that no word spells anything, and nothing that looks like something else. */
const LETTERS = "bcdfghjkmnpqrstvwxyz23456789";
const GROUP = 4;
/**
 * How many groups of letters a word has: 57 bits where it is good for its caller alone, and 134 where callers are not told apart, so that it
 * is all that protects the task.
 */
const GROUPS = { ofCaller: 3, ofAnybody: 7 } as const;
/** What a model writes in place of a word is read up to this length. */
const MAX_WRITTEN = 200;
/** Nothing that the gateway's own tools take is long. */
const MAX_ARGUMENTS = 10_000;

/** The words by which models know tasks, and the tools that take them. */
export class Fallback {
  readonly #secret: Buffer;
  /** Whether the server itself has a tool named like one of ours, for the prefix in `of`. Absent: no complete list of its tools was seen here. */
  readonly #taken = new WeakMap<Route, { readonly of: string; readonly isTaken: boolean }>();

  /** @param secret the same for all gateways that share tasks */
  constructor(secret: Buffer) {
    this.#secret = secret;
  }

  /** The policy for a call of a client that knows no tasks. `undefined`: the call never becomes a task. */
  policyFor(route: Route, tool: string): FallbackPolicy | undefined {
    const { mode, fallback } = route.policy(tool);
    return !makesTasks(mode) || this.isTaken(route) === true ? undefined : fallback;
  }

  /**
   * The task that a call may become, with a new word for it. The id is the word's, for this caller only: so every gateway finds the task by
   * the word, and nobody else does. Where the gateway does not tell callers apart, whoever has the word has the task, in any session.
   * @param seed gives the caller the same word each time. Absent: the word is random
   */
  newTask(who: Identified, tool: string, seed?: string): CallTask & { readonly id: TaskId } {
    const word = seed === undefined ? newWord(who) : this.#wordOf(who, seed);
    return {
      ...callTask(who, tool, "none", who.route.policy(tool)),
      word,
      id: this.#idOf(who, word),
    };
  }

  /** The id of the task that a model names in the arguments of one of the gateway's tools. `undefined`: it is no word of ours. */
  find(who: Identified, given: unknown): TaskId | undefined {
    const word = readWord(argumentsOf(given).task, lettersFor(who));
    return word === undefined ? undefined : this.#idOf(who, word);
  }

  /**
   * How to change the answer to `tools/list` for clients that know no tasks. `undefined`: not at all.
   * @param cursor of the request: the gateway's tools come on the first page
   */
  listing(route: Route, cursor: unknown): ((answer: string) => string) | undefined {
    const offered = offeredBy(route);
    if (offered === undefined) return undefined;
    const isFirst = cursor === undefined;
    const names = TOOLS.map((tool) => `${offered.prefix}${tool}`);
    const onListed = (listed: ReadonlySet<string>, isLast: boolean) => {
      const isTaken = names.some((name) => listed.has(name));
      if (isTaken || (isFirst && isLast)) this.#note(route, isTaken);
      return this.isTaken(route) !== true;
    };
    return (answer) =>
      withFallbackTools(answer, {
        tools: isFirst ? toolsOf(offered) : [],
        mayDetach: (tool) => this.policyFor(route, tool) !== undefined,
        onListed,
      });
  }

  /** Whether the server itself has a tool named like one of ours. `undefined`: this gateway does not know. */
  isTaken(route: Route): boolean | undefined {
    const known = this.#taken.get(route);
    return known?.of === offeredBy(route)?.prefix ? known?.isTaken : undefined;
  }

  #note(route: Route, isTaken: boolean): void {
    const wasTaken = this.isTaken(route) === true;
    this.#taken.set(route, { of: offeredBy(route)?.prefix ?? "", isTaken });
    if (isTaken && !wasTaken)
      route.log.warn(
        { setting: `servers.${route.config.name}.tasks.fallbackPrefix` },
        "the server has a tool named like one of the gateway's: clients that know no tasks get no fallback",
      );
  }

  #wordOf(who: Identified, seed: string): string {
    const drawn = createHmac("sha512", this.#secret)
      .update(toJson(["word", seed]))
      .digest();
    return wordFrom(lettersFor(who), (nth) => drawn.readUInt16BE(2 * nth) % LETTERS.length);
  }

  #idOf({ owner }: Identified, word: string): TaskId {
    const named = toJson(["fallback", owner.route, owner.caller, word]);
    return createHmac("sha256", this.#secret).update(named).digest("base64url");
  }
}

/** The gateway's own tool of this name. `undefined`: it has none on this route. */
export function ownTool(route: Pick<Route, "config">, name: unknown): FallbackTool | undefined {
  const offered = offeredBy(route);
  return offered && TOOLS.find((tool) => name === `${offered.prefix}${tool}`);
}

/** The settings of the gateway's own tools, if any call of the route may need them. */
export function offeredBy({ config: { tasks, tools } }: Pick<Route, "config">): FallbackPolicy | undefined {
  return [tasks, ...tools].find(({ mode, fallback }) => makesTasks(mode) && fallback !== undefined)?.fallback;
}

function lettersFor({ caller }: Identified): number {
  return GROUP * (caller.isIdentified ? GROUPS.ofCaller : GROUPS.ofAnybody);
}

function newWord(who: Identified): string {
  return wordFrom(lettersFor(who), () => randomInt(LETTERS.length));
}

/** @param draw the index of the nth letter */
function wordFrom(length: number, draw: (nth: number) => number): string {
  return grouped(Array.from({ length }, (_, nth) => LETTERS[draw(nth)]).join(""));
}

function grouped(bare: string): string {
  const groups = Array.from({ length: bare.length / GROUP }, (_, group) =>
    bare.slice(group * GROUP, (group + 1) * GROUP),
  );
  return groups.join("-");
}

/** Models change case, and lose hyphens. */
function readWord(written: unknown, length: number): string | undefined {
  if (typeof written !== "string" || written.length > MAX_WRITTEN) return undefined;
  const bare = written.replace(/[\s-]/g, "").toLowerCase();
  return bare.length === length && [...bare].every((letter) => LETTERS.includes(letter))
    ? grouped(bare)
    : undefined;
}

const TASK = {
  type: "string",
  description:
    "The task, exactly as the tool that is still running named it: groups of four letters and digits with hyphens between them.",
};

function toolsOf({ prefix, afterMs }: FallbackPolicy): readonly JsonObject[] {
  return [
    {
      name: `${prefix}result`,
      title: "Result of a running task",
      description:
        "Gives the result of another tool that was still running when it answered. Waits for the result; if there is none yet, says so, and can be called again. Call it only with a task that another tool has named.",
      inputSchema: {
        type: "object",
        properties: {
          task: TASK,
          waitSeconds: {
            type: "number",
            minimum: 0,
            description: `How many seconds to wait for the result: ${afterMs / 1_000} unless given, and at most.`,
          },
        },
        required: ["task"],
      },
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    {
      name: `${prefix}cancel`,
      title: "Cancel a running task",
      description:
        "Cancels another tool that is still running, so that its result will not come. Call it only with a task that another tool has named.",
      inputSchema: { type: "object", properties: { task: TASK }, required: ["task"] },
      annotations: {
        readOnlyHint: false,
        destructiveHint: true,
        idempotentHint: true,
        openWorldHint: false,
      },
    },
  ];
}

/** What a model wrote as the arguments of one of the gateway's tools; `fault`: what is wrong with it. */
export type Written = { readonly waitMs: number; readonly fault?: never } | { readonly fault: string };

/** @param longestMs how long a result may be waited for, and is unless the arguments say less */
export function readArguments(given: unknown, longestMs: number): Written {
  const { task, waitSeconds } = argumentsOf(given);
  if (typeof task !== "string") return { fault: "task must be the text that the running tool named." };
  if (waitSeconds === undefined || waitSeconds === null) return { waitMs: longestMs };
  const seconds = typeof waitSeconds === "string" ? Number.parseFloat(waitSeconds) : waitSeconds;
  if (typeof seconds !== "number" || !(seconds >= 0))
    return { fault: "waitSeconds must be a number of seconds, 0 or more." };
  return { waitMs: Math.min(seconds * 1_000, longestMs) };
}

function argumentsOf(given: unknown): JsonObject {
  const isShort = given instanceof RawJson && given.text.length <= MAX_ARGUMENTS;
  const written = isShort ? given.parse() : given;
  return isObject(written) ? written : {};
}

/** A tool's result that is nothing but a text for the model. */
export function said(text: string, isError = false): JsonObject {
  return { content: [{ type: "text", text }], ...(isError ? { isError } : {}) };
}

/** What a client gets in place of the result of a call that has become a task. @param ranMs for how long it has run */
export function stillRunning(task: TaskRecord, ranMs: number, { prefix }: FallbackPolicy): JsonObject {
  const named = toJson({ task: task.word });
  const asks = isAsking(task)
    ? ` It has a question for the user, which comes as soon as you call ${prefix}result.`
    : "";
  return said(
    `${task.tool} is still running after ${inWords(ranMs)}${progressOf(task)}. This is not its result.${asks} To get the result, call the tool ${prefix}result with ${named}; it waits for the result, and you can call it again. Do not call ${task.tool} again for the same purpose: that would start it a second time. To give up, call ${prefix}cancel with ${named}.`,
  );
}

/** One sentence for a word that names no task of this caller: unknown, expired and another's look the same. */
export function noSuchTask(): JsonObject {
  return said("There is no such task: the word is wrong, or its result has expired.", true);
}

export function cancelled({ tool }: TaskRecord, hasEnded: boolean, { prefix }: FallbackPolicy): JsonObject {
  if (hasEnded) return said(`${tool} was cancelled; there will be no result.`);
  return said(`${tool} had ended already; ${prefix}result gives what came of it.`);
}

/** Why there is no result of the server's; `undefined`: there is one, which may be an error. */
export function whyNone({ tool }: TaskRecord, outcome: Outcome): JsonObject | undefined {
  switch (outcome.kind) {
    case "completed":
      return undefined;
    case "failed":
      return outcome.isOurs ? said(`${tool} failed: ${outcome.error.message}.`, true) : undefined;
    case "cancelled":
      return said(`${tool} was cancelled: ${outcome.reason ?? "no reason was given"}.`, true);
    case "lost":
      return said(`${tool} gave no result: ${outcome.reason}.`, true);
  }
}

function isAsking({ inputRequests }: TaskRecord): boolean {
  return Object.keys(inputRequests).length > 0;
}

function progressOf({ statusMessage }: TaskRecord): string {
  if (statusMessage === undefined || statusMessage === "running") return "";
  return statusMessage === "queued" ? ", and waits for its turn" : ` (it reports: ${statusMessage})`;
}

/** A time as a person says it: `45 s`, `2 min 10 s`, `1 h 5 min`. */
export function inWords(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min${seconds % 60 === 0 ? "" : ` ${seconds % 60} s`}`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 === 0 ? "" : ` ${minutes % 60} min`}`;
}
