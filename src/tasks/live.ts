import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { rpc } from "../protocol/errors.ts";
import { isObject, type JsonObject, type JsonText, toJson, withFirstMembers } from "../protocol/jsonrpc.ts";
import { META } from "../protocol/modern.ts";
import {
  type Change,
  type InputAnswer,
  type Outcome,
  StoreUnavailable,
  type TaskRecord,
  type TaskStore,
} from "../stores/task-store.ts";
import type { Progress } from "../upstreams/session.ts";
import type { Call } from "./call.ts";
import type { CallEnd } from "./call-end.ts";

export interface LiveTaskOptions {
  readonly call: Call;
  readonly record: TaskRecord;
  readonly store: TaskStore;
  readonly maxResultBytes: number;
  readonly log: Logger;
  readonly clock: () => number;
}

/** Progress is told as it comes, but not written more often than this. */
const PROGRESS_WRITE_MS = 500;
const MAX_RETRY_DELAY_MS = 10_000;

/** A task whose call runs in this process: writes down what happens to it, one write at a time, and how it ends. */
export class LiveTask {
  readonly #options: LiveTaskOptions;
  /** Settles when the outcome is durable, or when it is given up. */
  readonly ended: Promise<void>;
  #record: TaskRecord;
  #statusMessage: string | undefined;
  #writtenAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #isAbandoned = false;
  /** Ends the pause before another try to write the outcome; there only while there is one. */
  #wake: AbortController | undefined;

  constructor(options: LiveTaskOptions) {
    this.#options = options;
    this.#record = options.record;
    this.#statusMessage = options.record.statusMessage;
    const { call } = options;
    this.ended = new Promise((resolve) => {
      const end = (how: CallEnd) =>
        this.#end(how)
          .catch((err) =>
            options.log.error({ err, task: this.#record.id }, "an outcome could not be written"),
          )
          .finally(resolve);
      if (call.end !== undefined) return void end(call.end);
      call.listen({
        onSent: () => this.#say("running", 0),
        onProgress: (progress) => this.#say(progressMessage(progress), PROGRESS_WRITE_MS),
        onQuestions: () => this.#writeSoon(0),
        onEnd: (how) => void end(how),
      });
      // The call went on while the record was being written.
      if (call.state === "sent" && this.#statusMessage === "queued") this.#say("running", 0);
      if (toJson(call.inputRequests) !== toJson(options.record.inputRequests)) this.#writeSoon(0);
    });
  }

  get record(): TaskRecord {
    return this.#record;
  }

  get call(): Call {
    return this.#options.call;
  }

  /**
   * Hands answers to the call; resolves when the record says that they were taken.
   * @throws StoreUnavailable
   */
  async answer(answers: ReadonlyMap<string, InputAnswer>): Promise<void> {
    this.call.takeAnswers(answers);
    await this.#write();
  }

  /** Gives up on writing an outcome that the store does not take. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#wake?.abort();
  }

  /** Keeps a message; what comes thick and fast is written at once and then no more often than `everyMs`. */
  #say(message: string, everyMs: number): void {
    this.#statusMessage = message;
    this.#writeSoon(Math.max(0, this.#writtenAt + everyMs - performance.now()));
  }

  #writeSoon(withinMs: number): void {
    if (withinMs > 0 && this.#timer !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writtenAt = performance.now();
      // The state stays in memory and is written with the next change; the outcome does not depend on it.
      this.#write().catch((error) =>
        this.#options.log.warn({ err: error, task: this.#record.id }, "a task's state was not written"),
      );
    }, withinMs);
  }

  /** Writes the state as it is when its turn comes. */
  #write(): Promise<void> {
    const turn = this.#writing.then(async () => {
      const { call, store } = this.#options;
      if (call.end !== undefined) return;
      const change: Change = {
        inputRequests: call.inputRequests,
        ...(this.#statusMessage === undefined ? {} : { statusMessage: this.#statusMessage }),
      };
      this.#record = await store.update(this.#record, change);
    });
    this.#writing = turn.catch(() => {});
    return turn;
  }

  async #end(end: CallEnd): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    const { maxResultBytes, clock } = this.#options;
    const outcome = toOutcome(end, maxResultBytes, clock());
    // A finished result must not be lost to a store that is away for a while, and is never taken for a failed tool.
    for (let delay = 100; !this.#isAbandoned; delay = Math.min(delay * 2, MAX_RETRY_DELAY_MS)) {
      try {
        await this.#options.store.end(this.#record, outcome);
        return;
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        this.#options.log.error(
          { err: error, task: this.#record.id },
          "an outcome was not written; trying again",
        );
        this.#wake = new AbortController();
        await sleep(delay, undefined, { signal: this.#wake.signal }).catch(() => {});
      }
    }
  }
}

/** The outcome as it is kept: what the server said, to the letter. */
function toOutcome(end: CallEnd, maxResultBytes: number, endedAt: number): Outcome {
  switch (end.kind) {
    case "result": {
      const result = resultText(end.result);
      const bytes = Buffer.byteLength(result);
      const failure = toolFailure(end.result);
      if (bytes <= maxResultBytes)
        return { kind: "completed", endedAt, result, ...(failure === undefined ? {} : { failure }) };
      return {
        kind: "failed",
        endedAt,
        error: rpc.resultTooLarge(bytes, maxResultBytes).toJSON(),
        isOurs: true,
      };
    }
    case "error":
      return {
        kind: "failed",
        endedAt,
        error: end.error,
        ...(end.isModern === undefined ? {} : { isModern: end.isModern }),
      };
    case "ours":
      return { kind: "failed", endedAt, error: end.error.toJSON(), isOurs: true };
    case "cancelled":
      return { kind: "cancelled", endedAt, reason: end.reason };
  }
}

/**
 * What the server said, as text. Should it say `resultType` or `_meta`, they stand first and in this order, where the views
 * look for them; should it relate the result to a task, that is none of ours.
 */
function resultText({ resultType, _meta, ...rest }: JsonObject): JsonText {
  return withFirstMembers(toJson(rest), [
    ...(resultType === undefined ? [] : [`"resultType":${toJson(resultType)}`]),
    ...(_meta === undefined ? [] : [`"_meta":${toJson(withoutRelatedTask(_meta))}`]),
  ]);
}

function withoutRelatedTask(meta: unknown): unknown {
  if (!isObject(meta)) return meta;
  const { [META.relatedTask]: _, ...rest } = meta;
  return rest;
}

/** As much of what a tool said of its failure as is fit for a status message. */
const MAX_FAILURE_LENGTH = 1_000;

function toolFailure({ isError, content }: JsonObject): string | undefined {
  if (isError !== true) return undefined;
  const texts = (Array.isArray(content) ? content : []).map((block) =>
    isObject(block) ? block.text : undefined,
  );
  const said = texts.find((text) => typeof text === "string" && text !== "");
  return typeof said === "string" ? said.slice(0, MAX_FAILURE_LENGTH) : "The tool reported an error";
}

/** Progress as a person reads it. */
export function progressMessage({ progress, total, message }: Progress): string {
  const measure = typeof total === "number" ? `${progress} of ${total}` : `${progress}`;
  return typeof message === "string" ? `${message} (${measure})` : measure;
}
