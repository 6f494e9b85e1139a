import { setMaxListeners } from "node:events";
import { createClient, createCluster, type RedisClientType, type RedisClusterType } from "@keyv/redis";
import type { Keyv } from "keyv";
import type { RedisAddress, RedisHost } from "../store-url.ts";
import { keyvOverCluster, keyvOverServer } from "./redis-keyv.ts";
import { clientOptions, type RedisOptions } from "./redis-options.ts";
import { masterOf } from "./redis-sentinels.ts";

/** One connection to one server, or those to the nodes of a cluster. Once it is lost, it stays so. */
export interface RedisConnection {
  /** For what Keyv can do. Keys are the whole keys. */
  readonly keyv: Keyv;
  /** Whether commands on different keys may go to different servers. */
  readonly isCluster: boolean;
  /** Settles when it is of no use any more, with the reason. In a cluster one lost node is enough. */
  readonly lost: Promise<Error>;
  /** How the server tells it from others, in the words of `CLIENT KILL`; empty when it did not say, and in a cluster. */
  readonly identity: readonly string[];
  /**
   * Sends a command on a key, or on several of one slot, and gives the reply as it came. It is given as words: the client's own
   * methods for commands cost more than sending them. What is sent in one turn of the event loop is sent together.
   */
  send(key: string, command: readonly string[]): Promise<unknown>;
  /** Sends a command that has no key, in a cluster to one of the masters. */
  ask(...command: string[]): Promise<unknown>;
  /** Resolves once what is published in the channel is heard. */
  subscribe(channel: string, listener: (message: string) => void): Promise<void>;
  /** Gives up at once: what is under way is rejected. Twice is once. */
  destroy(): void;
}

/**
 * Connects to what `address` says; in the case of sentinels to the master that they know now.
 *
 * `before` is a connection whose place it takes. The server is told to forget it: what is still on its way there would be done after
 * what is sent from now on, and an old record would overwrite a new one.
 *
 * Rejects with what was wrong after `timeoutMs` at the latest, and when `signal` aborts; nothing is left open then.
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
  // Should this very process have been paused, the answer may be here, and is read before it is given up.
  const timer = setTimeout(() => {
    lateSoon = setImmediate(late);
  }, timeoutMs);
  // Each socket listens to it as long as it is open: one for each node of a cluster, and those that ask the way.
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
  // What is no Redis is heard of here only: the answer that the client waits for never comes.
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
    // An access list may forbid either.
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
    // A node that is away is no reason to do without the others.
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
    // It says only that it has tried all hosts.
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
      // It stops at the first that objects to being destroyed, because it has lost its connection already.
      destroyAll([...(nodes as (Destroyable | undefined)[]), cluster], end);
    },
  };
}

/** A server that still loads its data refuses, and so does, for a while, a master that is none any more. */
async function checkRole({ ask }: Pick<RedisConnection, "ask">, { layout }: RedisAddress): Promise<void> {
  await ask("PING");
  if (layout === "single") return;
  const role = await ask("ROLE").catch(() => undefined);
  if (Array.isArray(role) && role[0] !== "master")
    throw new Error("the sentinels name a server that is not the master");
}

/** Both, because after a failover another server may have given the same number to somebody else. */
function identityIn(info: string): readonly string[] {
  const [, id, address] = /\bid=(\d+) addr=(\S+)/.exec(info) ?? [];
  return id === undefined || address === undefined ? [] : ["ID", id, "ADDR", address];
}

interface Destroyable {
  destroy(): void;
}

/** Clears the timers of clients, and rejects what they have under way; whoever has lost its connection already objects in the end. */
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
