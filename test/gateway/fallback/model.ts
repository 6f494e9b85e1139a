/** A model as the fallback needs it: it does what the text of a tool's result says, and knows nothing else. */

import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { type Json, ModernClient } from "../../support/modern-client.ts";
import { INPUT } from "../../support/story.ts";

/** A client that knows no tasks. */
export interface Plain {
  list(params?: JsonObject): Promise<Json>;
  /** The result of a tool; fails when there is none. */
  call(name: string, args?: JsonObject): Promise<Json>;
}

/** One that may go to another gateway in the same session. */
export interface Moving extends Plain {
  at(url: URL): Plain;
}

/** How clients of one generation reach a gateway. */
export type Connect = (url: URL) => Promise<Moving>;

export const PREFIX = "taskgate_";
/** A call becomes a task at once. */
export const SOON = { fallback: { afterMs: 60, prefix: PREFIX } } as const;
/** A call ends in time, on any machine. */
export const PATIENT = { fallback: { afterMs: 60_000, prefix: PREFIX } } as const;

function modern(url: URL): Moving {
  const client = new ModernClient(url, { capabilities: INPUT });
  return {
    at: modern,
    list: (params) => client.result("tools/list", params),
    call: (name, args) => client.callTool(name, args),
  };
}

/** A session of an older revision. */
export function plainly(client: LegacyWire): Plain {
  return {
    list: (params) => client.result("tools/list", params),
    call: (name, args = {}) => client.result("tools/call", { name, arguments: args }),
  };
}

const legacy = (version: string) => async (url: URL) => {
  const client = await LegacyWire.connect(url, { version });
  return { ...plainly(client), at: (other: URL) => plainly(client.at(other)) };
};

export const LEGACY: readonly (readonly [string, Connect])[] = [
  ["2025-11-25", legacy("2025-11-25")],
  ["2025-06-18", legacy("2025-06-18")],
  ["2025-03-26", legacy("2025-03-26")],
];
export const GENERATIONS: readonly (readonly [string, Connect])[] = [
  ["2026-07-28", async (url) => modern(url)],
  ...LEGACY,
];

const NEXT = /call the tool (\S+) with (\{"task":"[^"]+"\})/;

/** What the text tells the model to call next. `undefined`: the result is the tool's own. */
export function nextOf(result: Json): { readonly tool: string; readonly args: JsonObject } | undefined {
  const [, tool, args] = NEXT.exec(String(result.content?.[0]?.text)) ?? [];
  return tool === undefined || args === undefined ? undefined : { tool, args: JSON.parse(args) };
}

/** Calls what it is told to call, until it has a result. */
export async function follow(client: Plain, first: Json): Promise<Json> {
  let result = first;
  for (let next = nextOf(result); next !== undefined; next = nextOf(result))
    result = await client.call(next.tool, next.args);
  return result;
}
