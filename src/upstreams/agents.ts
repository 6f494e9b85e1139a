import { Agent, type Dispatcher } from "undici";
import { Recent } from "../ops/recent.ts";
import { guardedConnector } from "./guarded-connections.ts";
import { partitionOf } from "./partition.ts";

/** Connections to servers, for sessions to share. */
export interface UpstreamAgents {
  /**
   * The agent for a new session.
   * @param headers the caller's own: nobody with others is given the same agent
   */
  next(headers?: Readonly<Record<string, string>>): Dispatcher;
  destroy(): Promise<void>;
}

/**
 * An agent looks at all its connections to find one that is free: thousands of calls had better not share one. Callers that are told
 * apart have fewer calls each.
 */
const AGENTS = { shared: 32, ofCaller: 4 } as const;
/** Partitions whose agents are remembered; the connections of the others end when nobody uses them. */
const MAX_PARTITIONS = 256;

/**
 * Connections without time-outs between bytes: undici's defaults would end every tool that is silent for 300 s; each call
 * has its own deadline instead.
 */
export function upstreamAgents(): UpstreamAgents {
  const partitions = new Recent<string, Dispatcher[]>(MAX_PARTITIONS);
  /** Those that have connections, or are about to. */
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
