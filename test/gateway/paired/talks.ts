/** A server over stdio that says what it heard, behind a gateway, for legacy clients. */

import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { type GatewaySettings, type GatewayUnderTest, gatewayFor } from "../../support/gateway.ts";
import type { Json } from "../../support/modern-client.ts";
import { processesWith } from "../../support/stdio-servers/processes.ts";

export const TALKS = fileURLToPath(new URL("../../support/stdio-servers/talks.mjs", import.meta.url));

export interface Talks extends GatewayUnderTest {
  /** The processes of the server at this moment. */
  pids(): Promise<number[]>;
  /** Settles when there are so many processes of the server, control sessions included. */
  processes(count: number): Promise<void>;
}

export interface TalksSettings extends Omit<GatewaySettings, "upstream"> {
  readonly idleTimeoutMs?: number;
  readonly maxSessions?: number;
}

export async function talks({ idleTimeoutMs, maxSessions, ...settings }: TalksSettings = {}): Promise<Talks> {
  const mark = randomUUID();
  const tested = await gatewayFor({
    ...settings,
    upstream: {
      command: process.execPath,
      args: [TALKS, mark],
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
      ...(maxSessions === undefined ? {} : { maxSessions }),
    },
  });
  const pids = () => processesWith(mark);
  return {
    ...tested,
    pids,
    processes: (count) => expect.poll(pids, { timeout: 60_000, interval: 50 }).toHaveLength(count),
  };
}

/** The text of a result. */
export function said(result: Json): unknown {
  return result?.content?.[0]?.text;
}
