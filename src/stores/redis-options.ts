import type { RedisAddress } from "../store-url.ts";
import type { StoreTls } from "./options.ts";

export interface RedisOptions {
  readonly address: RedisAddress;
  /** For everything that a server may take time for. */
  readonly timeoutMs: number;
  readonly tls?: StoreTls | undefined;
}

/**
 * What a client of these hosts takes. It never connects a second time by itself, so that every way in which a connection can become
 * useless is answered in one place, by a new one.
 */
export function clientOptions({ address, timeoutMs, tls }: RedisOptions, signal: AbortSignal) {
  const common = {
    connectTimeout: timeoutMs,
    // For a connection on which nothing moves. On one that is in use the deadline of an operation notices first.
    socketTimeout: 3 * timeoutMs,
    reconnectStrategy: false as const,
    // Destroys every socket, also one that is only just being connected, which `destroy` of the client leaves open.
    signal,
  };
  return {
    socket: address.isSecure ? { ...common, tls: true as const, ...withoutUndefined(tls ?? {}) } : common,
    disableOfflineQueue: true,
    pingInterval: timeoutMs,
    commandsQueueMaxLength: MAX_COMMANDS,
    ...withoutUndefined({ username: address.username, password: address.password }),
  };
}

/** More than this is not waiting, it is failing. */
const MAX_COMMANDS = 100_000;

function withoutUndefined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}
