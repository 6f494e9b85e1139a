import { setTimeout as delay } from "node:timers/promises";
import type { RedisConnection } from "./redis-connection.ts";

/**
 * Makes a connection, which may be to take the place of one before. Rejects, leaving nothing open, within a bounded time and when the
 * signal aborts.
 */
export type Connect = (signal: AbortSignal, before?: RedisConnection) => Promise<RedisConnection>;

export interface RedisLinkOptions {
  readonly connect: Connect;
  /** How long what is under way on a connection that has been replaced still gets. Milliseconds. */
  readonly timeoutMs: number;
  /** Is called whenever a connection has taken the place of one that was lost. */
  readonly onRenewed?: () => void;
}

const FIRST_DELAY_MS = 50;
/** A store that is back is to be used again within a second, by those who wait for it as well. */
const MAX_DELAY_MS = 250;

/**
 * Keeps a connection: one that is lost is replaced by a new one, with bounded delays between the attempts and for as long as it takes.
 * Until then the old one stays, and rejects what it cannot do: in a cluster that may be less than everything.
 */
export class RedisLink {
  readonly #options: RedisLinkOptions;
  readonly #closing = new AbortController();
  readonly #retired = new Map<RedisConnection, NodeJS.Timeout>();
  #current: RedisConnection | undefined;
  #renewing: Promise<void> | undefined;
  #renewedAt = Number.NEGATIVE_INFINITY;

  constructor(options: RedisLinkOptions) {
    this.#options = options;
  }

  /** Rejects when the first attempt does. */
  async open(): Promise<RedisConnection> {
    const connection = await this.#options.connect(this.#closing.signal);
    this.#use(connection);
    return connection;
  }

  /** The one to use. @throws when there has been none, or there will be none any more */
  get current(): RedisConnection {
    if (this.#current === undefined || this.#closing.signal.aborted) throw new Error("not connected");
    return this.#current;
  }

  /** Says that a connection is of no use. Repeating it is harmless. */
  renew(connection: RedisConnection): void {
    if (connection !== this.#current || this.#closing.signal.aborted) return;
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
  }

  /** Gives up everything at once, whatever is under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#renewing;
    for (const [connection, timer] of this.#retired) {
      clearTimeout(timer);
      connection.destroy();
    }
    this.#retired.clear();
    this.#current?.destroy();
  }

  async #renew(): Promise<void> {
    const { signal } = this.#closing;
    // Should a new one be lost at once, again and again, that is no reason to try without a pause.
    let waitMs = performance.now() - this.#renewedAt > 2 * MAX_DELAY_MS ? FIRST_DELAY_MS : MAX_DELAY_MS;
    while (!signal.aborted) {
      await delay(waitMs, undefined, { signal }).catch(() => {});
      waitMs = Math.min(2 * waitMs, MAX_DELAY_MS);
      // Whoever needs the store meanwhile is told why it cannot be had.
      const next = await this.#options.connect(signal, this.#current).catch(() => undefined);
      if (next === undefined) continue;
      this.#renewedAt = performance.now();
      this.#retire();
      this.#use(next);
      if (!signal.aborted) this.#options.onRenewed?.();
      return;
    }
  }

  #use(connection: RedisConnection): void {
    this.#current = connection;
    void connection.lost.then(() => {
      // Not within the renewal that made it, which would be taken for the one that is wanted.
      void Promise.resolve(this.#renewing).then(() => this.renew(connection));
    });
  }

  #retire(): void {
    const old = this.#current;
    if (old === undefined) return;
    const timer = setTimeout(() => {
      this.#retired.delete(old);
      old.destroy();
    }, this.#options.timeoutMs);
    this.#retired.set(old, timer);
  }
}
