import type { RedisConnection } from "./connection.ts";
import type { RedisLink } from "./link.ts";
import { isOfNoUse } from "./replies.ts";

export interface RedisOperationsOptions {
  readonly link: RedisLink;
  /** How long an operation may take. Milliseconds. */
  readonly timeoutMs: number;
}

/** Operations under way at a time. Beyond that the server is too slow, and `run` rejects at once. */
const MAX_UNDER_WAY = 20_000;

/** When the last reply, possibly an error, came on a connection. By `performance.now()`. */
interface Heard {
  at: number;
}

interface Operation {
  readonly connection: RedisConnection;
  readonly heard: Heard;
  readonly begunAt: number;
  readonly reject: (error: unknown) => void;
  isAwaited: boolean;
}

/**
 * Runs operations over a link. Every operation has a deadline of its own, whatever the client library thinks of its connection; a
 * connection without replies is replaced.
 *
 * Counts what is under way instead of keeping a set: the tables of a set that keeps changing outlive their contents, and collecting them
 * took a third of the time of a read.
 */
export class RedisOperations {
  readonly #link: RedisLink;
  readonly #timeoutMs: number;
  readonly #heard = new WeakMap<RedisConnection, Heard>();
  /** Operations still running, given up or not, and those whose caller still waits. */
  #underWay = 0;
  #awaited = 0;
  #onIdle: (() => void) | undefined;

  constructor({ link, timeoutMs }: RedisOperationsOptions) {
    this.#link = link;
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves with the result of `work`. Rejects with its error, or after `timeoutMs`. */
  run<T>(work: (connection: RedisConnection) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#underWay >= MAX_UNDER_WAY)
        throw new Error(`${MAX_UNDER_WAY} operations are waiting for it already`);
      const connection = this.#link.current;
      const heard = this.#heardOn(connection);
      const operation = { connection, heard, begunAt: performance.now(), reject, isAwaited: true };
      const working = work(connection);
      this.#underWay += 1;
      this.#awaited += 1;
      // If this process was paused, the answer may already be here: read it before giving up.
      const timer = setTimeout(() => setImmediate(() => this.#giveUp(operation)), this.#timeoutMs);
      working.then(
        (result) => {
          heard.at = performance.now();
          this.#settled(operation, timer);
          resolve(result);
        },
        (error: unknown) => {
          if (isOfNoUse(error)) this.#link.renew(connection);
          else heard.at = performance.now();
          this.#settled(operation, timer);
          reject(error);
        },
      );
    });
  }

  /** Resolves when every operation has ended or been given up. The caller must not start one after this. */
  async finish(): Promise<void> {
    if (this.#awaited === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  #heardOn(connection: RedisConnection): Heard {
    const known = this.#heard.get(connection);
    if (known !== undefined) return known;
    const heard = { at: Number.NEGATIVE_INFINITY };
    this.#heard.set(connection, heard);
    return heard;
  }

  #settled(operation: Operation, timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    this.#underWay -= 1;
    this.#awaitNoMore(operation);
  }

  #giveUp(operation: Operation): void {
    if (!operation.isAwaited) return;
    const { connection, heard, begunAt, reject } = operation;
    // If other operations got replies meanwhile, the connection is only slow.
    if (heard.at < begunAt) this.#link.renew(connection);
    reject(new Error(`no answer within ${this.#timeoutMs} ms`));
    this.#awaitNoMore(operation);
  }

  #awaitNoMore(operation: Operation): void {
    if (!operation.isAwaited) return;
    operation.isAwaited = false;
    this.#awaited -= 1;
    if (this.#awaited === 0) this.#onIdle?.();
  }
}
