import type { Logger } from "pino";
import type { UpstreamAgents } from "../upstreams/agents.ts";
import type { Wanted } from "./survey.ts";

export interface InspectOptions {
  /** How long one answer may take. */
  readonly timeoutMs: number;
  /** A call to be made; without it no tool is ever called. */
  readonly call?: Wanted;
  /** Ends everything that is open, at once. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

export interface InspectionOptions extends InspectOptions {
  readonly agents: UpstreamAgents;
}
