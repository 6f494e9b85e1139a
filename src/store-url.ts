/** Where a store is: in this process's memory, in a directory, or on a Redis. */
export type StoreAddress =
  | { readonly kind: "memory"; readonly name: string }
  | { readonly kind: "level"; readonly name: string; readonly path: string }
  | RedisAddress;

/** Where a Redis or Valkey is, and the credentials for it. */
export interface RedisAddress {
  readonly kind: "redis";
  /** The url without credentials: anybody may see it. */
  readonly name: string;
  readonly isSecure: boolean;
  /** What the hosts are: the one server, some nodes of a cluster, or sentinels that know the master by this name. */
  readonly layout: "single" | "cluster" | { readonly master: string };
  readonly hosts: readonly [RedisHost, ...RedisHost[]];
  readonly username?: string;
  readonly password?: string;
  readonly database: number;
}

export interface RedisHost {
  readonly host: string;
  readonly port: number;
}

/** The urls that a store can have, for messages. */
export const STORE_URLS = "must be memory:, level:PATH, redis://HOST or rediss://HOST";

/**
 * Reads the url of a store: `memory:`, `level:PATH`, `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, the same with
 * `redis+cluster://` and several hosts with commas between them, or with `redis+sentinel://` and `/MASTER[?db=DATABASE]`; each of
 * the three with `rediss` for TLS.
 *
 * @throws an `Error` that says what is wrong after "must be" or "has", and repeats nothing that could be a password.
 */
export function parseStoreUrl(url: string): StoreAddress {
  if (url === "memory:") return { kind: "memory", name: url };
  if (/^level:./s.test(url)) return { kind: "level", name: url, path: url.slice("level:".length) };
  const scheme = /^(redis|rediss)(\+cluster|\+sentinel)?:/.exec(url);
  if (!scheme) throw new Error(STORE_URLS);
  const parts = /^[^:]+:\/\/(?:([^@/?]*)@)?([^@/?]+)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(url);
  if (!parts) throw new Error("must have a host after //, and special letters of a password percent-encoded");

  const [, credentials, hosts = "", path = "", query] = parts;
  const kind = scheme[2] === "+cluster" ? "cluster" : scheme[2] === "+sentinel" ? "sentinel" : "single";
  const [layout, database] = placeOf(kind, path, query);
  return {
    kind: "redis",
    name: `${scheme[0]}//${url.slice(credentials === undefined ? scheme[0].length + 2 : url.indexOf("@") + 1)}`,
    isSecure: scheme[1] === "rediss",
    layout,
    hosts: hostsOf(kind, hosts),
    ...credentialsOf(credentials),
    database,
  };
}

/** The url of a store, without credentials. @throws when it is not one */
export function storeName(url: string): string {
  return parseStoreUrl(url).name;
}

type Kind = "single" | "cluster" | "sentinel";

function hostsOf(kind: Kind, text: string): readonly [RedisHost, ...RedisHost[]] {
  const [first, ...others] = text.split(",");
  if (others.length > 0 && kind === "single") {
    throw new Error("must have one host; several are for redis+cluster:// or redis+sentinel://");
  }
  const read = (each: string) => hostOf(each, kind === "sentinel" ? 26_379 : 6_379);
  return [read(first ?? ""), ...others.map(read)];
}

function hostOf(text: string, defaultPort: number): RedisHost {
  const match = /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i.exec(text);
  const port = Number(match?.[3] ?? defaultPort);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port < 1 || port > 65_535)
    throw new Error("must have hosts like NAME or NAME:PORT");
  return { host, port };
}

function credentialsOf(text: string | undefined): Pick<RedisAddress, "username" | "password"> {
  if (text === undefined) return {};
  const [username = "", ...rest] = text.split(":");
  const password = rest.join(":");
  if (password === "") throw new Error("must have credentials like USER:PASSWORD or :PASSWORD before @");
  return { ...(username === "" ? {} : { username: decoded(username) }), password: decoded(password) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error("must have credentials that are percent-encoded");
  }
}

function placeOf(kind: Kind, path: string, query: string | undefined): [RedisAddress["layout"], number] {
  switch (kind) {
    case "single":
      if (query !== undefined) throw new Error("must have nothing after ?");
      return ["single", databaseOf(path)];
    case "cluster":
      if (path !== "" || query !== undefined)
        throw new Error("must end with its hosts: a cluster has no databases");
      return ["cluster", 0];
    case "sentinel": {
      if (!/^[\w.-]+$/.test(path)) throw new Error("must have the name of the master after the hosts: /NAME");
      const database = /^db=(.*)$/s.exec(query ?? "db=0")?.[1];
      if (database === undefined) throw new Error("must have nothing after ? but db=NUMBER");
      return [{ master: path }, databaseOf(database)];
    }
  }
}

function databaseOf(text: string): number {
  if (!/^\d{0,5}$/.test(text)) throw new Error("must have a number as its database");
  return Number(text);
}

/** Whether a store of this form is a server, which several gateways may share. */
export function isShared(url: string): boolean {
  return url.startsWith("redis");
}
