import { parseStoreUrl, type StoreAddress } from "../store-url.ts";
import { openLevelStore } from "./embedded/level.ts";
import { openMemoryStore } from "./memory.ts";
import type { StoreOptions } from "./options.ts";
import type { TaskStore } from "./task-store.ts";

/**
 * Opens the task store that `url` names, in the forms of `parseStoreUrl`. Creates a missing directory (`level:PATH`, relative to the
 * working directory).
 *
 * Rejects with an `Error` that names the url without credentials and says what is wrong.
 */
export async function openStore(url: string, options: StoreOptions = {}): Promise<TaskStore> {
  const address = addressOf(url);
  switch (address.kind) {
    case "memory":
      return openMemoryStore(url, options);
    case "level":
      return openLevelStore(url, address.path, options);
    case "redis": {
      // Loading this takes a quarter of the start, so only gateways that use Redis do.
      const { openRedisStore } = await import("./redis/redis.ts");
      return openRedisStore(address, options);
    }
  }
}

function addressOf(url: string): StoreAddress {
  try {
    return parseStoreUrl(url);
  } catch (error) {
    // The message repeats only the scheme of a malformed url: the rest may be a password.
    const scheme = url.slice(0, url.indexOf(":") + 1);
    const got = scheme === "" ? "no scheme" : scheme + (url === scheme ? "" : "…");
    throw new Error(`store: ${(error as Error).message}, got ${got}`);
  }
}
