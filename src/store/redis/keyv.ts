import KeyvRedis, { type RedisClientType, type RedisClusterType } from "@keyv/redis";
import { Keyv } from "keyv";
import { type StoredCell, storedOf, storedText } from "../cell-text.ts";

/** Keyv over a connected client of one server. Its keys include the prefix. */
export function keyvOverServer(client: RedisClientType): Keyv {
  return keyvOver(new ServerStorage(client));
}

/** Keyv over a connected client of a cluster. Its keys include the prefix. */
export function keyvOverCluster(cluster: RedisClusterType): Keyv {
  return keyvOver(new OpenStorage(cluster));
}

/**
 * A value in Keyv's format, without its expiry: Keyv would judge that by this machine's clock and remove values that are still valid by
 * another replica's. Redis expires them by its own clock.
 */
export function redisText({ value }: StoredCell): string {
  return storedText({ value });
}

function keyvOver(storage: OpenStorage): Keyv {
  storage.on("error", () => {});
  return new Keyv({
    store: storage as never,
    // By default Keyv answers a failed write with `true` and a failed read with "not found".
    throwOnErrors: true,
    emitErrors: false,
    namespace: "",
    useKeyPrefix: false,
    serialize: redisText,
    deserialize: storedOf,
  });
}

class OpenStorage extends KeyvRedis<unknown> {
  constructor(client: RedisClientType | RedisClusterType) {
    super(client as RedisClientType, { throwOnErrors: true, throwOnConnectError: true });
  }

  /** Keyv's own version would reconnect a lost client, unknown to `RedisLink`. */
  override async getClient() {
    return this.client;
  }
}

/** Sends the frequent commands itself: KeyvRedis's own way to the client takes a third of the time of a read. */
class ServerStorage extends OpenStorage {
  readonly #client: RedisClientType;

  constructor(client: RedisClientType) {
    super(client);
    this.#client = client;
  }

  override async getMany<U>(keys: string[]): Promise<(U | undefined)[]> {
    const texts = (await this.#client.sendCommand(["MGET", ...keys])) as readonly (string | null)[];
    // Parsed here: Keyv would await each text in turn, and leaves values that are no text as they are.
    return texts.map((text) => (text === null ? undefined : (storedOf(text) as U)));
  }

  override async set(key: string, text: string, ttlMs: number): Promise<void> {
    await this.#client.sendCommand(["SET", key, text, "PX", String(ttlMs)]);
  }
}
