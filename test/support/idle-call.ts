/** A call that is never sent: what happens to it is for the test to say. */

import { Call, type CallOptions } from "../../src/calls/call.ts";
import { Slots } from "../../src/calls/slots.ts";
import { createLog } from "../../src/log/log.ts";
import { upstreamAgents } from "../../src/upstream/transports/agents.ts";
import { Upstream } from "../../src/upstream/upstream.ts";

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
