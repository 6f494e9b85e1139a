import type { RedisConnection } from "./connection.ts";

/** The first version with `PEXPIRE … GT`. Every Valkey has it, and reports version 7.2. */
const MIN_VERSION = 7;

/** What is wrong with the server's version; `undefined` when nothing is, or when the server does not let us ask. */
export async function versionFault(connection: RedisConnection): Promise<string | undefined> {
  const info = await asked(connection, "INFO", "server");
  const version = /^redis_version:(\d+)\S*/m.exec(String(info ?? ""));
  if (!version || Number(version[1]) >= MIN_VERSION) return undefined;
  return `must be Redis ${MIN_VERSION} or later, or Valkey, got ${version[0].slice("redis_version:".length)}`;
}

/** The server settings that can lose tasks, one sentence each. Skips settings that the server does not let us read. */
export async function warningsAbout(connection: RedisConnection): Promise<readonly string[]> {
  const [policy, aof, sync, role] = await Promise.all([
    setting(connection, "maxmemory-policy"),
    setting(connection, "appendonly"),
    setting(connection, "appendfsync"),
    asked(connection, "ROLE"),
  ]);
  const warnings: string[] = [];
  if (policy !== undefined && policy !== "noeviction") {
    warnings.push(
      `maxmemory-policy is ${policy}: tasks are dropped when memory is short; noeviction keeps them`,
    );
  }
  if (aof === "no")
    warnings.push("appendonly is no: what was written last is lost when the server ends; yes keeps it");
  if (aof === "yes" && sync === "no") {
    warnings.push(
      "appendfsync is no: half a minute is lost when the machine ends; everysec loses one second, always nothing",
    );
  }
  if (Array.isArray(role) && role[0] === "slave")
    warnings.push("it is a replica, and what is written there can be lost");
  return warnings;
}

async function setting(connection: RedisConnection, name: string): Promise<string | undefined> {
  const pair = await asked(connection, "CONFIG", "GET", name);
  return Array.isArray(pair) && typeof pair[1] === "string" ? pair[1] : undefined;
}

/** The reply, or `undefined` on an error: ACLs and hosted servers forbid some of these commands. */
function asked(connection: RedisConnection, ...command: string[]): Promise<unknown> {
  return connection.ask(...command).catch(() => undefined);
}
