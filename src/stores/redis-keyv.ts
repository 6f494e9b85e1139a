import KeyvRedis, { type RedisClientType, type RedisClusterType } from "@keyv/redis";
import { Keyv } from "keyv";
import { type StoredCell, storedOf, storedText } from "./cell-text.ts";

/** Keyv over a client of one server, which is connected already. Keys are the whole keys. */
export function keyvOverServer(client: RedisClientType): Keyv {
  return keyvOver(new ServerStorage(client));
}

/** The same over a client of a cluster. */
export function keyvOverCluster(cluster: RedisClusterType): Keyv {
  return keyvOver(new OpenStorage(cluster));
}

/**
 * A value as Keyv reads it. Without the time at which it expires: Keyv would judge that by the clock of this machine, and remove what
 * another replica's clock says is still good. Redis judges it by its own.
 */
export function redisText({ value }: StoredCell): string {
  return storedText({ value });
}

function keyvOver(storage: OpenStorage): Keyv {
  storage.on("error", () => {});
  return new Keyv({
    store: storage as never,
    // Its defaults answer a failed write with `true` and a failed read with "not found".
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

  /** Connecting is not its business: a client that was lost would be opened once more, behind everybody's back. */
  override async getClient() {
    return this.client;
  }
}

/** What is done with every request takes the short way: a third of the time of a read would be spent between here and the client. */
class ServerStorage extends OpenStorage {
  readonly #client: RedisClientType;

  constructor(client: RedisClientType) {
    super(client);
    this.#client = client;
  }

  override async getMany<U>(keys: string[]): Promise<(U | undefined)[]> {
    const texts = (await this.#client.sendCommand(["MGET", ...keys])) as readonly (string | null)[];
    // Keyv leaves what is no text as it is, and would wait for each of them in turn.
    return texts.map((text) => (text === null ? undefined : (storedOf(text) as U)));
  }

  override async set(key: string, text: string, ttlMs: number): Promise<void> {
    await this.#client.sendCommand(["SET", key, text, "PX", String(ttlMs)]);
  }
}
