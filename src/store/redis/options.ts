import type { RedisAddress } from "../../store-url.ts";
import type { StoreTls } from "../options.ts";

export interface RedisOptions {
  readonly address: RedisAddress;
  /** For connecting, and for each operation. Milliseconds. */
  readonly timeoutMs: number;
  readonly tls?: StoreTls | undefined;
}

/**
 * The client library's options for these hosts. The client never reconnects by itself: whatever makes a connection useless, `RedisLink`
 * replaces it.
 */
export function clientOptions({ address, timeoutMs, tls }: RedisOptions, signal: AbortSignal) {
  const common = {
    connectTimeout: timeoutMs,
    // For idle connections. On one in use the deadline of an operation passes first.
    socketTimeout: 3 * timeoutMs,
    reconnectStrategy: false as const,
    // Destroys every socket, including one that is still connecting, which the client's `destroy` leaves open.
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

/** A longer queue means that the server has failed. */
const MAX_COMMANDS = 100_000;

function withoutUndefined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}
