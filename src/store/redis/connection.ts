import { setMaxListeners } from "node:events";
import { createClient, createCluster, type RedisClientType, type RedisClusterType } from "@keyv/redis";
import type { Keyv } from "keyv";
import type { RedisAddress, RedisHost } from "../../store-url.ts";
import { keyvOverCluster, keyvOverServer } from "./keyv.ts";
import { clientOptions, type RedisOptions } from "./options.ts";
import { masterOf } from "./sentinels.ts";

/** A connection to one server, or to the nodes of a cluster. A lost connection stays lost. */
export interface RedisConnection {
  /** Keyv over this connection. Its keys include the prefix. */
  readonly keyv: Keyv;
  /** Whether commands on different keys may go to different servers. */
  readonly isCluster: boolean;
  /** Resolves with the reason when the connection is lost. In a cluster one lost node is enough. */
  readonly lost: Promise<Error>;
  /** Identifies the connection at the server, as arguments of `CLIENT KILL`; empty when the server does not say, and in a cluster. */
  readonly identity: readonly string[];
  /**
   * Sends a command on a key, or on several of one slot, and resolves with the raw reply. The command is an array of words: the client
   * library's methods cost more than the sending. The client library sends the commands of one turn of the event loop together.
   */
  send(key: string, command: readonly string[]): Promise<unknown>;
  /** Sends a command without a key, in a cluster to one of the masters. */
  ask(...command: string[]): Promise<unknown>;
  /** Resolves once the server has subscribed `listener` to the channel. */
  subscribe(channel: string, listener: (message: string) => void): Promise<void>;
  /** Closes at once and rejects what is under way. Repeating it is harmless. */
  destroy(): void;
}

/**
 * Connects to `address`; with sentinels, to the master that they name now.
 *
 * `before` is the connection that this one replaces. We let the server kill it: it might run commands that are still under way there
 * after new ones, and an old record would overwrite a new one.
 *
 * Rejects with what is wrong within `timeoutMs`, or when `signal` aborts, and leaves nothing open.
 */
export async function connectRedis(
  options: RedisOptions,
  signal: AbortSignal,
  before?: RedisConnection,
): Promise<RedisConnection> {
  const { timeoutMs } = options;
  signal.throwIfAborted();
  const end = new AbortController();
  const giveUp = () => end.abort(signal.reason);
  signal.addEventListener("abort", giveUp, { once: true });
  const late = () => end.abort(new Error(`no answer within ${timeoutMs} ms`));
  let lateSoon: NodeJS.Immediate | undefined;
  // If this process was paused, the answer may already be here: read it before giving up.
  const timer = setTimeout(() => {
    lateSoon = setImmediate(late);
  }, timeoutMs);
  // Every open socket listens to the signal: one for each node of a cluster, and those to sentinels.
  setMaxListeners(0, end.signal);
  try {
    return await unless(end.signal, open(options, end, before?.identity));
  } catch (error) {
    end.abort();
    throw error;
  } finally {
    clearTimeout(timer);
    clearImmediate(lateSoon);
    signal.removeEventListener("abort", giveUp);
  }
}

async function open(
  options: RedisOptions,
  end: AbortController,
  before: readonly string[] = [],
): Promise<RedisConnection> {
  const { address } = options;
  if (address.layout === "cluster") return openCluster(options, end);
  const host =
    address.layout === "single"
      ? address.hosts[0]
      : await masterOf(options, address.layout.master, end.signal);
  return openServer(options, host, end, before);
}

async function openServer(
  options: RedisOptions,
  host: RedisHost,
  end: AbortController,
  before: readonly string[],
): Promise<RedisConnection> {
  const { socket, ...rest } = clientOptions(options, end.signal);
  const client = createClient({
    ...rest,
    database: options.address.database,
    socket: { ...socket, ...host },
  });
  const lost = new Promise<Error>((resolve) => client.on("error", resolve));
  // A peer that is no Redis shows only as this error: `connect` waits for a reply that never comes.
  const failed = lost.then((error) => Promise.reject(error));
  const connection = {
    keyv: keyvOverServer(client as RedisClientType),
    isCluster: false,
    lost,
    send: (_key: string, command: readonly string[]): Promise<unknown> =>
      client.sendCommand(command as string[]),
    ask: (...command: string[]): Promise<unknown> => client.sendCommand(command),
    subscribe: (channel: string, listener: (message: string) => void) => client.subscribe(channel, listener),
    destroy: () => destroyAll([client], end),
  };
  try {
    await Promise.race([client.connect(), failed]);
    await checkRole(connection, options.address);
    // The server's ACL may forbid either command.
    if (before.length > 0) await connection.ask("CLIENT", "KILL", ...before).catch(() => undefined);
    const info = await connection.ask("CLIENT", "INFO").catch(() => undefined);
    return { ...connection, identity: identityIn(String(info)) };
  } catch (error) {
    destroyAll([client]);
    throw error;
  }
}

async function openCluster(options: RedisOptions, end: AbortController): Promise<RedisConnection> {
  const { address } = options;
  const defaults = clientOptions(options, end.signal);
  const cluster = createCluster({
    rootNodes: address.hosts.map((host) => ({ socket: host })) as never,
    defaults: defaults as never,
    // One unreachable node must not keep us from the others.
    minimizeConnections: true,
  });
  let fault: Error | undefined;
  const lost = new Promise<Error>((resolve) => {
    cluster.on("error", (error: Error) => {
      fault = error;
    });
    cluster.on("node-error", resolve);
  });
  try {
    await cluster.connect();
  } catch (error) {
    destroyAll([cluster]);
    // The client library's own error says only that it has tried all hosts.
    throw fault ?? error;
  }
  return {
    keyv: keyvOverCluster(cluster as unknown as RedisClusterType),
    isCluster: true,
    lost,
    identity: [],
    send: (key, command) => cluster.sendCommand(key, false, command as string[]),
    subscribe: (channel, listener) => cluster.subscribe(channel, listener),
    ask: async (...command) => {
      const master = cluster.masters[0];
      if (master === undefined) throw new Error("the cluster has no masters");
      return (await cluster.nodeClient(master)).sendCommand(command);
    },
    destroy: () => {
      const nodes = [...cluster.masters, cluster.pubSubNode].map((node) => node?.client);
      // The nodes first: `destroy` of the cluster stops at the first node that throws because its connection is already lost.
      destroyAll([...(nodes as (Destroyable | undefined)[]), cluster], end);
    },
  };
}

/** Rejects for a server that is still loading its data, and for a former master that sentinels still name for a while. */
async function checkRole({ ask }: Pick<RedisConnection, "ask">, { layout }: RedisAddress): Promise<void> {
  await ask("PING");
  if (layout === "single") return;
  const role = await ask("ROLE").catch(() => undefined);
  if (Array.isArray(role) && role[0] !== "master")
    throw new Error("the sentinels name a server that is not the master");
}

/** Both id and address, because after a failover the new server may use the same id for another client. */
function identityIn(info: string): readonly string[] {
  const [, id, address] = /\bid=(\d+) addr=(\S+)/.exec(info) ?? [];
  return id === undefined || address === undefined ? [] : ["ID", id, "ADDR", address];
}

interface Destroyable {
  destroy(): void;
}

/** Clears the clients' timers and rejects what they have under way. A client whose connection is already lost throws after that. */
function destroyAll(clients: readonly (Destroyable | undefined)[], end?: AbortController): void {
  for (const client of clients) {
    try {
      client?.destroy();
    } catch {}
  }
  end?.abort();
}

function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
