/** An upstream of the gateway's without a gateway round it: its sessions with one server. */

import { onTestFinished } from "vitest";
import { createLog } from "../../src/log/log.ts";
import { upstreamAgents } from "../../src/upstream/transports/agents.ts";
import { Upstream } from "../../src/upstream/upstream.ts";
import { configFor } from "./gateway.ts";

/** Closed when the test is over. */
export function upstreamOf(url: URL): Upstream {
  const agents = upstreamAgents();
  onTestFinished(() => agents.destroy());
  const { servers } = configFor({ upstream: url });
  const upstream = new Upstream({
    config: (servers[0] as (typeof servers)[number]).upstream,
    agents,
    clientInfo: { name: "test", version: "1" },
    maxMessageBytes: 1_000_000,
    log: createLog("silent"),
  });
  onTestFinished(() => upstream.close());
  return upstream;
}
