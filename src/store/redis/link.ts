import { setTimeout as delay } from "node:timers/promises";
import type { RedisConnection } from "./connection.ts";

/**
 * Makes a connection, which may replace `before`. Rejects within a bounded time, or when the signal aborts, and leaves nothing open.
 */
export type Connect = (signal: AbortSignal, before?: RedisConnection) => Promise<RedisConnection>;

export interface RedisLinkOptions {
  readonly connect: Connect;
  /** How long operations on a replaced connection may still run. Milliseconds. */
  readonly timeoutMs: number;
  /** Called after a new connection has replaced a lost one. */
  readonly onRenewed?: () => void;
}

const FIRST_DELAY_MS = 50;
/** A store that is back must be in use again within a second, also for callers that are waiting for it. */
const MAX_DELAY_MS = 250;

/**
 * Keeps a connection. Replaces a lost one, with bounded delays between attempts and for as long as it takes. Until then the old one
 * stays and rejects what it cannot do: in a cluster that may be only some commands.
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

  /** Connects. Makes one attempt, and rejects when it fails. */
  async open(): Promise<RedisConnection> {
    const connection = await this.#options.connect(this.#closing.signal);
    this.#use(connection);
    return connection;
  }

  /** The connection to use. @throws before `open` and after `close` */
  get current(): RedisConnection {
    if (this.#current === undefined || this.#closing.signal.aborted) throw new Error("not connected");
    return this.#current;
  }

  /** Replaces a useless connection. Repeating it is harmless. */
  renew(connection: RedisConnection): void {
    if (connection !== this.#current || this.#closing.signal.aborted) return;
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
  }

  /** Destroys all connections at once, whatever is under way. */
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
    // If new connections are lost at once, we still pause between attempts.
    let waitMs = performance.now() - this.#renewedAt > 2 * MAX_DELAY_MS ? FIRST_DELAY_MS : MAX_DELAY_MS;
    while (!signal.aborted) {
      await delay(waitMs, undefined, { signal }).catch(() => {});
      waitMs = Math.min(2 * waitMs, MAX_DELAY_MS);
      // Callers that need the store meanwhile get their own error.
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
      // Only after the renewal that made this connection: `renew` would take that one for its own.
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
