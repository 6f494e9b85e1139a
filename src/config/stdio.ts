import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import type { Environment } from "./environment.ts";
import { STDIO_STORE } from "./flags.ts";
import { type Loaded, readConfig } from "./load.ts";
import { ConfigError, type Problem } from "./problems.ts";

/**
 * The configuration for one client over stdio: one of the servers, tasks in memory and `fallback: tools` unless the document says otherwise. Ignores problems
 * of other servers.
 * @param name the server's name; not needed when there is only one
 * @throws ConfigError
 */
export function readStdioConfig(document: unknown, env: Environment, name: unknown): Loaded {
  try {
    const { config, warnings } = readConfig(narrowed(document, name), env);
    return { config, warnings: warnings.filter(matters) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.problems, error.warnings.filter(matters));
  }
}

/** Only warnings about servers matter: over stdio nothing listens, and tasks in memory are the default. */
function matters({ path }: Problem): boolean {
  return path.startsWith("servers.");
}

/** The document with only the chosen server, with tasks in memory and `fallback: tools` unless it says otherwise. @throws ConfigError */
export function narrowed(document: unknown, name: unknown): unknown {
  if (!isObject(document)) return document;
  const { servers, store = {} } = document;
  return {
    ...document,
    store: isObject(store) ? { url: STDIO_STORE, ...store } : store,
    ...(isObject(servers) ? { servers: withFallback(oneOf(servers, name)) } : {}),
  };
}

/** Desktop programs cut calls off after a minute, and few of them know tasks: over stdio they have the fallback unless the document says otherwise. */
function withFallback(servers: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(servers).map(([name, server]) => {
      if (!isObject(server)) return [name, server];
      const { tasks = {} } = server;
      return [name, { ...server, ...(isObject(tasks) ? { tasks: { fallback: "tools", ...tasks } } : {}) }];
    }),
  );
}

function oneOf(servers: JsonObject, name: unknown): JsonObject {
  const names = Object.keys(servers);
  if (names.length === 0) return servers;
  if (typeof name !== "string") {
    if (names.length > 1) throw refusal(`is needed: one of ${names.join(", ")}`);
    return servers;
  }
  if (!Object.hasOwn(servers, name))
    throw refusal(`must be one of ${names.join(", ")}, got ${JSON.stringify(name)}`);
  return { [name]: servers[name] };
}

function refusal(message: string): ConfigError {
  return new ConfigError([{ path: "--server", message }]);
}
