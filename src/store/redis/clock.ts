import { steadyNow } from "../../lib/clock.ts";
import type { RedisConnection } from "./connection.ts";

/** A difference that nobody notices, and by which a measurement over a slow network may be wrong. */
const TOLERATED_MS = 2_000;

/**
 * The common clock of all gateways on one Redis: this process's clock, corrected when its machine's clock differs from that of Redis. One
 * gateway writes a task's times and others judge them, and Redis expires keys by its own clock.
 */
export class RedisClock {
  #offsetMs = 0;

  now(): number {
    return steadyNow() + this.#offsetMs;
  }

  /** Compares the clocks. Resolves with a message for the operator; `undefined`: nothing new, or Redis does not let us ask. */
  async compare({ ask }: Pick<RedisConnection, "ask">): Promise<string | undefined> {
    const askedAt = performance.now();
    const time = await ask("TIME").catch(() => undefined);
    if (!Array.isArray(time)) return undefined;
    const theirs = Number(time[0]) * 1_000 + Math.floor(Number(time[1]) / 1_000);
    const ours = steadyNow() - Math.round((performance.now() - askedAt) / 2);
    const measured = theirs - ours;
    if (!Number.isFinite(measured)) return undefined;
    const before = this.#offsetMs;
    this.#offsetMs = Math.abs(measured) <= TOLERATED_MS ? 0 : measured;
    if (Math.abs(this.#offsetMs - before) <= TOLERATED_MS) return undefined;
    const seconds = Math.round(Math.abs(measured) / 1_000);
    if (this.#offsetMs === 0) return "the clocks of this machine and of the server agree again";
    return `the clock of this machine is ${seconds} s ${measured < 0 ? "ahead of" : "behind"} that of the server: tasks are reckoned by the server's`;
  }
}
