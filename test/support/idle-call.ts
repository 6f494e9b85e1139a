/** A call that is never sent: what happens to it is for the test to say. */

import { createLog } from "../../src/ops/log.ts";
import { Call, type CallOptions } from "../../src/tasks/call.ts";
import { Slots } from "../../src/tasks/slots.ts";
import { upstreamAgents } from "../../src/upstreams/agents.ts";
import { Upstream } from "../../src/upstreams/upstream.ts";

export function heldCall({
  capabilities = {},
  slots = new Slots({ maxConcurrent: 1, maxQueued: 0 }),
  ...others
}: Partial<CallOptions> = {}): Call {
  const upstream = nowhere();
  const owner = { caller: "c", headers: {}, capabilities };
  return new Call({
    lease: (holder) => upstream.lease(owner, holder),
    slots,
    caller: owner.caller,
    capabilities: owner.capabilities,
    method: "tools/call",
    params: { name: "t" },
    maxRuntimeMs: 1_000,
    ...others,
  });
}

function nowhere(): Upstream {
  return new Upstream({
    config: {
      transport: "streamable-http",
      url: new URL("http://127.0.0.1:1/mcp"),
      headers: {},
      forwardHeaders: [],
      sessions: "lease",
      idleTimeoutMs: 60_000,
      startTimeoutMs: 30_000,
    },
    agents: upstreamAgents(),
    clientInfo: { name: "test", version: "0" },
    maxMessageBytes: 1,
    log: createLog("silent"),
  });
}
