import type { RedisAddress } from "../../store-url.ts";
import { CellStore } from "../cell-store.ts";
import { DEFAULT_LEASE_MS, type StoreOptions } from "../options.ts";
import { sealedOrPlain } from "../sealed.ts";
import type { TaskStore } from "../task-store.ts";
import { RedisBackend } from "./backend.ts";
import { RedisClock } from "./clock.ts";
import { connectRedis } from "./connection.ts";
import type { Connect } from "./link.ts";
import { reasonOf } from "./replies.ts";
import { versionFault, warningsAbout } from "./settings.ts";

const DEFAULT_TIMEOUT_MS = 2_000;
const DEFAULT_PREFIX = "taskgate:";
/** How many times per lease watchers look at the store without a nudge. */
const LOOKS_A_LEASE = 3;

/**
 * Opens a store in a Redis or Valkey that any number of gateways can share; `address` comes from `parseStoreUrl`. The server must be
 * reachable now; later it may go and come back.
 *
 * Rejects with an `Error` that names the store without credentials and says what is wrong, and leaves nothing open.
 */
export async function openRedisStore(address: RedisAddress, options: StoreOptions = {}): Promise<TaskStore> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, prefix = DEFAULT_PREFIX, tls, warn = () => {} } = options;
  const { leaseMs = DEFAULT_LEASE_MS } = options;
  const shared = new RedisClock();
  const { clock = () => shared.now() } = options;
  const { name } = address;
  let isNew = true;
  /** The first connection shows what kind of server it is. */
  const connect: Connect = async (signal, before) => {
    const connection = await connectRedis({ address, timeoutMs, tls }, signal, before);
    // A renewed connection does not wait for the comparison: its server may hang again.
    const compared = shared.compare(connection).then((difference) => {
      if (difference !== undefined) warn(`store ${name}: ${difference}`);
    });
    if (!isNew) return connection;
    await compared;
    const fault = await versionFault(connection);
    if (fault !== undefined) {
      connection.destroy();
      throw new Error(fault);
    }
    for (const warning of await warningsAbout(connection)) warn(`store ${name}: ${warning}`);
    isNew = false;
    return connection;
  };
  const missedEveryMs = leaseMs / LOOKS_A_LEASE;
  const plain = await RedisBackend.open({ name, connect, timeoutMs, prefix, missedEveryMs, clock }).catch(
    (cause: unknown) => {
      throw new Error(`store ${name}: ${explain(cause)}`, { cause });
    },
  );
  const backend = await sealedOrPlain(plain, options, name);
  try {
    return await CellStore.open({ ...options, clock, leaseMs, url: name, ...backend });
  } catch (error) {
    await plain.close();
    throw error;
  }
}

function explain(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reason = reasonOf(error);
  switch (code) {
    case "ECONNREFUSED":
      return `nobody listens there (${reason})`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `no such host (${reason})`;
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "CERT_HAS_EXPIRED":
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `its certificate is not trusted (${reason})`;
  }
  if (code === "EPROTO" || code.startsWith("ERR_SSL")) return `it does not speak TLS like us (${reason})`;
  if (/^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR invalid password)/.test(reason)) {
    return `it does not take the credentials (${reason})`;
  }
  if (/^(Unknown RESP type|Unexpected RESP)/.test(reason))
    return `it does not speak the protocol of Redis (${reason})`;
  if (/closed unexpectedly|ECONNRESET/i.test(reason)) {
    return `it hangs up (${reason}); it may want TLS, which is rediss:`;
  }
  return `could not be opened (${reason})`;
}
