import type { UpstreamConfig } from "../config/config.ts";
import { upstreamAgents } from "../upstreams/agents.ts";
import type { Facts } from "./facts.ts";
import { inspectHttp } from "./http.ts";
import type { InspectOptions } from "./options.ts";
import { inspectStdio } from "./stdio.ts";

/**
 * Finds out what a server is and does: by asking, and by looking at how it answers. Calls no tool unless told to, and leaves
 * neither a session nor a process behind.
 * @throws Unfit when there is no server to be inspected, Misuse when the call cannot be made
 */
export async function inspect(config: UpstreamConfig, options: InspectOptions): Promise<Facts> {
  const agents = upstreamAgents();
  try {
    return config.transport === "stdio"
      ? await inspectStdio(config, { ...options, agents })
      : await inspectHttp(config, { ...options, agents });
  } finally {
    await agents.destroy();
  }
}
