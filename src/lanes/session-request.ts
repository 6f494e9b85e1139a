import type { JsonObject, RequestId } from "../protocol/jsonrpc.ts";
import type { SharedBytes } from "../quotas/bytes.ts";
import type { Lease } from "../upstreams/pool.ts";
import type { SessionHolder } from "../upstreams/session.ts";
import type { ClientSession } from "../upstreams/upstream.ts";
import type { TaskSupport } from "./amended.ts";
import type { SessionKey } from "./backchannels.ts";
import type { Identified, Reply } from "./lane.ts";

/** The way into a client's session with the server. */
export interface Joiner {
  join(holder: SessionHolder): Lease;
  /** The session itself, where any gateway can join it. */
  readonly session?: ClientSession;
}

/** A request of a legacy client's session, whatever carries the two: all that its tasks need to know (2025-11-25, Tasks). */
export interface SessionRequest extends Identified {
  readonly id: RequestId;
  readonly params: JsonObject;
  /** The memory that the request takes. Absent: it is counted nowhere. */
  readonly held?: SharedBytes | undefined;
  readonly reply: Pick<Reply, "gone" | "result" | "notify" | "keepAlive" | "drop"> & {
    /** Whether the client is connected, where it may be gone for a while. Absent: as long as it is not gone. */
    readonly isConnected?: boolean;
  };
  /** `undefined` where the server has no sessions. */
  readonly session: SessionKey | undefined;
  /** Gives the way into the session, for a call on the client's behalf that outlives the request. */
  joiner(): Joiner;
  /** Leaves the request to the server, however long it takes. */
  pass(): Promise<void>;
  /** The same for `tools/list`, whose answer is to say what the policy says of tasks. */
  passToolList(supportOf: (tool: string) => TaskSupport): Promise<void>;
}
