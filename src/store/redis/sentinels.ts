import { createClient } from "@keyv/redis";
import type { RedisHost } from "../../store-url.ts";
import { clientOptions, type RedisOptions } from "./options.ts";

/**
 * The master that the sentinels now know by this name. Trusts the first sentinel that knows one, as Redis's guidelines for clients say.
 * Rejects with the error of the last sentinel.
 *
 * `createSentinel` of the client library does not serve: it moves to another master by itself and sends failed commands again, so that the
 * gateway could not cut off the old master first and would not know whether a command ran once.
 */
export async function masterOf(options: RedisOptions, name: string, signal: AbortSignal): Promise<RedisHost> {
  let fault: unknown;
  for (const sentinel of options.address.hosts) {
    try {
      return await askSentinel(options, sentinel, name, signal);
    } catch (error) {
      fault = error;
    }
    signal.throwIfAborted();
  }
  throw fault;
}

async function askSentinel(
  options: RedisOptions,
  sentinel: RedisHost,
  name: string,
  signal: AbortSignal,
): Promise<RedisHost> {
  try {
    return await masterAt(options, sentinel, name, signal, false);
  } catch (error) {
    // The credentials are the master's. Sentinels without credentials reject any.
    const needsThem = error instanceof Error && error.message.startsWith("NOAUTH");
    if (!needsThem || options.address.password === undefined) throw error;
    return masterAt(options, sentinel, name, signal, true);
  }
}

async function masterAt(
  options: RedisOptions,
  sentinel: RedisHost,
  name: string,
  signal: AbortSignal,
  isKnown: boolean,
): Promise<RedisHost> {
  const { socket, username, password, ...rest } = clientOptions(options, signal);
  const credentials = isKnown
    ? { ...(username === undefined ? {} : { username }), password: password ?? "" }
    : {};
  // An unreachable sentinel must not use up the time of the others.
  const connectTimeout = Math.ceil(options.timeoutMs / (options.address.hosts.length + 1));
  const client = createClient({
    ...rest,
    ...credentials,
    socket: { ...socket, ...sentinel, connectTimeout, socketTimeout: connectTimeout },
  });
  const failed = new Promise<never>((_, reject) => client.on("error", reject));
  try {
    const answer = (async () => {
      await client.connect();
      return client.sendCommand(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name]);
    })();
    const place = await Promise.race([answer, failed]);
    if (!Array.isArray(place)) throw new Error(`the sentinels know no master called ${name}`);
    const [host, port] = place.map(String);
    return { host: host as string, port: Number(port) };
  } finally {
    failed.catch(() => {});
    try {
      client.destroy();
    } catch {}
  }
}
