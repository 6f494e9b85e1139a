import { Agent, type Dispatcher } from "undici";
import { Recent } from "../../lib/recent.ts";
import { guardedConnector } from "./guarded-connections.ts";
import { partitionOf } from "./partition.ts";

/** Pools of connections to servers, shared by sessions. */
export interface UpstreamAgents {
  /**
   * Returns the agent for a new session.
   * @param headers the caller's own headers; callers with different headers never share an agent
   */
  next(headers?: Readonly<Record<string, string>>): Dispatcher;
  destroy(): Promise<void>;
}

/**
 * The number of agents for a partition. An agent searches all its connections for a free one, so thousands of calls should not share one
 * agent. Identified callers have fewer calls each.
 */
const AGENTS = { shared: 32, ofCaller: 4 } as const;
/** How many partitions keep their agents. Agents of evicted partitions close their connections when no session uses them. */
const MAX_PARTITIONS = 256;

/**
 * Agents without time-outs between bytes: undici's defaults would end a tool call that is silent for 300 s; each call has its own deadline.
 */
export function upstreamAgents(): UpstreamAgents {
  const partitions = new Recent<string, Dispatcher[]>(MAX_PARTITIONS);
  /** Agents that have connections, or are about to. */
  const live = new Set<Dispatcher>();
  let turn = 0;
  return {
    next: (headers = {}) => {
      const partition = partitionOf(Object.entries(headers).flat());
      const agents = partitions.get(partition) ?? [];
      if (agents.length === 0) partitions.set(partition, agents);
      turn += 1;
      const nth = turn % (partition === "" ? AGENTS.shared : AGENTS.ofCaller);
      const agent = agents[nth] ?? openAgent(live);
      if (nth >= agents.length) agents.push(agent);
      return agent;
    },
    destroy: async () => {
      await Promise.all([...live].map((agent) => agent.destroy()));
    },
  };
}

function openAgent(live: Set<Dispatcher>): Dispatcher {
  const agent = new Agent({ headersTimeout: 0, bodyTimeout: 0, connect: guardedConnector(10_000) });
  let connections = 0;
  const onFewer = () => {
    if (connections === 0) live.delete(agent);
  };
  agent.on("connect", () => {
    connections += 1;
    live.add(agent);
  });
  agent.on("disconnect", () => {
    connections -= 1;
    onFewer();
  });
  agent.on("connectionError", onFewer);
  live.add(agent);
  return agent;
}
