/** One server of one release over one transport: how it is started, and what is called. */
export interface Row {
  /** Its folder under `node_modules`. */
  readonly folder: string;
  readonly transport: Transport;
  readonly plan: (place: Place) => Plan;
  /** What this server is here for. */
  readonly notes?: string;
  /** Why it cannot be run on this machine, or undefined when it can. */
  readonly missing?: () => string | undefined;
  /** Why it is no surprise that it fails. A row that has this and works is a failure too. */
  readonly known?: string;
}

export type Transport = "stdio" | "sse" | "streamable-http";

/** What a row may use. */
export interface Place {
  /** For a server that listens. */
  readonly port: number;
  /** An empty folder of the row's own. */
  readonly folder: string;
  /** A page on loopback, whose heading is `PAGE_HEADING`. */
  readonly pageUrl: string;
}

export const PAGE_HEADING = "Corpus of servers";

export interface Plan {
  /** Below the row's folder in `node_modules`. */
  readonly script: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What runs the script; the node that runs us unless given. */
  readonly node?: string;
  /** Of the endpoint; unless given it is `/mcp`, and `/sse` for HTTP+SSE. */
  readonly path?: string;
  /** Whether it has to be started again whenever it ends, because it ends with any client that leaves. */
  readonly isRestarted?: boolean;
  /** As in the configuration of the gateway. */
  readonly sessions?: "single";
  /** Expected to be answered at once. */
  readonly quick?: Call;
  /** Each has to become a task. */
  readonly tasks: readonly Call[];
  /** A task that asks its user. */
  readonly question?: Call;
  /** What a client without a gateway gets, where the difference is the point. */
  readonly direct?: { readonly call: Call; readonly expectedError: RegExp };
}

export interface Call {
  readonly tool: string;
  readonly args?: Readonly<Record<string, Json>>;
  /** In the text of the result. */
  readonly expected: RegExp;
  /** For tools that may well be done within 250 ms: the gateway is told to make a task of them whatever happens. */
  readonly always?: boolean;
}

export type Json = string | number | boolean | readonly Json[] | { readonly [name: string]: Json };
