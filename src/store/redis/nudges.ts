import { randomBytes } from "node:crypto";
import { isObject, parseJson } from "../../protocol/jsonrpc.ts";
import type { Nudge } from "../task-store.ts";
import { Watchers } from "../watchers.ts";
import type { RedisConnection } from "./connection.ts";
import { redisChannel } from "./keys.ts";
import { type Connect, RedisLink } from "./link.ts";

export interface RedisNudgesOptions {
  readonly prefix: string;
  readonly timeoutMs: number;
  /** How often to assume that a nudge was missed. Milliseconds. */
  readonly everyMs: number;
  /** Makes a separate connection for the subscription. */
  readonly connect: Connect;
  /** Sends a message to all subscribers, including this one. */
  readonly send: (channel: string, message: string) => Promise<unknown>;
}

/** Messages under way at a time. We do not send any beyond that: other replicas look at the store a little later anyway. */
const MAX_UNDER_WAY = 1_000;
const MAX_MESSAGE = 1_000;

/**
 * Nudges of this replica and of others. Watchers get this replica's own at once, whatever the server does, and not again when they come
 * back from the server.
 *
 * A message is lost when its server stops, and nobody notices. So every `everyMs` all watchers get `missed`, and a message of this replica
 * to itself shows whether the subscription still works; if it does not come back, the replica subscribes anew.
 */
export class RedisNudges {
  readonly #options: RedisNudgesOptions;
  readonly #me = randomBytes(9).toString("base64url");
  /** The end of every message of this replica. */
  readonly #signature = `"from":"${this.#me}"}`;
  readonly #channel: string;
  readonly #watchers = new Watchers();
  readonly #link: RedisLink;
  #timer: NodeJS.Timeout | undefined;
  #underWay = 0;
  #isEchoDue = false;

  constructor(options: RedisNudgesOptions) {
    this.#options = options;
    this.#channel = redisChannel(options.prefix);
    this.#link = new RedisLink({
      connect: (signal, before) => this.#subscribed(signal, before),
      timeoutMs: 0,
      onRenewed: () => this.#watchers.tell({ kind: "missed" }),
    });
  }

  /** Subscribes. Rejects when that fails, and leaves nothing open. */
  async open(): Promise<void> {
    await this.#link.open();
    this.#timer = setInterval(() => this.#lookAfter(), this.#options.everyMs).unref();
  }

  watch(listener: (nudge: Nudge) => void): () => void {
    return this.#watchers.add(listener);
  }

  publish(nudge: Nudge): void {
    this.#watchers.tell(nudge);
    this.#send({ ...nudge, from: this.#me });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#watchers.clear();
    await this.#link.close();
  }

  async #subscribed(signal: AbortSignal, before?: RedisConnection): Promise<RedisConnection> {
    const connection = await this.#options.connect(signal, before);
    const stop = () => connection.destroy();
    const timer = setTimeout(stop, this.#options.timeoutMs);
    signal.addEventListener("abort", stop, { once: true });
    try {
      await connection.subscribe(this.#channel, (message) => this.#hear(message));
      this.#isEchoDue = false;
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
  }

  #lookAfter(): void {
    if (this.#isEchoDue) this.#link.renew(this.#link.current);
    this.#isEchoDue = true;
    this.#send({ from: this.#me });
    this.#watchers.tell({ kind: "missed", isRoutine: true });
  }

  #send(message: Partial<Nudge> & { readonly from: string }): void {
    if (this.#underWay >= MAX_UNDER_WAY) return;
    this.#underWay += 1;
    void this.#options
      .send(this.#channel, JSON.stringify(message))
      .catch(() => {})
      .finally(() => {
        this.#underWay -= 1;
      });
  }

  #hear(text: string): void {
    if (text.length > MAX_MESSAGE) return;
    // With few replicas most messages are our own; those need no parsing.
    if (text.endsWith(this.#signature)) {
      this.#isEchoDue = false;
      return;
    }
    const message = parsed(text);
    if (message !== undefined) this.#tell(message);
  }

  /** Ignores messages that are no nudges: any client of the Redis can publish into the channel. */
  #tell({ kind, id, replica }: Readonly<Record<string, unknown>>): void {
    switch (kind) {
      case "changed":
      case "answered":
      case "ended":
      case "granted":
      case "told":
        if (typeof id === "string") this.#watchers.tell({ kind, id });
        return;
      case "left":
        if (typeof replica === "string") this.#watchers.tell({ kind, replica });
        return;
    }
  }
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  const message = parseJson(text);
  return isObject(message) ? message : undefined;
}
