import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import type { Environment } from "./environment.ts";
import { STDIO_STORE } from "./flags.ts";
import { type Loaded, readConfig } from "./load.ts";
import { ConfigError, type Problem } from "./problems.ts";

/**
 * The configuration for one client over stdio: with one of the servers, and with tasks in memory unless the document says
 * something else. What is wrong with other servers does not matter.
 * @param name of the server; not needed when there is but one
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

/** Whether a warning is worth a word: nothing listens, and who keeps the tasks of one client in memory means it. */
function matters({ path }: Problem): boolean {
  return path.startsWith("servers.");
}

/** The document with the one server that is meant, and nothing on a disk unless it says so. @throws ConfigError */
export function narrowed(document: unknown, name: unknown): unknown {
  if (!isObject(document)) return document;
  const { servers, store = {} } = document;
  return {
    ...document,
    store: isObject(store) ? { url: STDIO_STORE, ...store } : store,
    ...(isObject(servers) ? { servers: oneOf(servers, name) } : {}),
  };
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
