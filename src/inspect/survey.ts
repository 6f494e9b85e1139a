import { headerParams, paramHeaders } from "../protocol/headers.ts";
import type { JsonObject } from "../protocol/jsonrpc.ts";
import type { CallFacts, Facts } from "./facts.ts";
import { type Listed, listTools, toolFacts } from "./listing.ts";
import type { Caller } from "./speaker.ts";
import { Trial } from "./trial.ts";
import { Misuse } from "./unfit.ts";

/** A call that somebody wants to see measured. */
export interface Wanted {
  readonly tool: string;
  readonly args: JsonObject;
  /** How long it may take. */
  readonly timeoutMs: number;
}

/** What there is to find out for a client that declares everything. */
export type Survey = Pick<Facts, "listed" | "declared" | "call">;

/**
 * Compares what a client that declares everything gets with what one gets that declares nothing, and makes the call that is
 * wanted. Without a `caller` there is nothing to compare.
 * @throws Misuse when the call cannot be made
 */
export async function survey(
  { tools: plain, facts, hasTools }: Listed,
  caller: Caller | undefined,
  wanted: Wanted | undefined,
): Promise<Survey> {
  // Who did not list the tools at first is not asked again.
  const tools = caller === undefined || !hasTools ? plain : await listTools(caller).catch(() => plain);
  const more = namesOf(tools).filter((name) => !namesOf(plain).includes(name));
  const less = namesOf(plain).filter((name) => !namesOf(tools).includes(name));
  const found = {
    listed: {
      ...facts,
      tools: [...facts.tools, ...tools.filter(({ name }) => more.includes(String(name))).map(toolFacts)],
    },
    ...(more.length + less.length === 0 ? {} : { declared: { more, less } }),
  };
  if (wanted === undefined) return found;
  if (caller === undefined)
    throw new Misuse("the call was not made: the server takes no session that declares something");
  return { ...found, call: await called(wanted, caller, tools, hasTools) };
}

async function called(
  { tool, args, timeoutMs }: Wanted,
  caller: Caller,
  tools: readonly JsonObject[],
  hasTools: boolean,
): Promise<CallFacts> {
  const known = tools.find(({ name }) => name === tool);
  if (known === undefined && hasTools)
    throw new Misuse(
      `--call: there is no tool ${JSON.stringify(tool)}; the tools are ${namesOf(tools).join(", ") || "(none)"}`,
    );
  const headers = paramHeaders(headerParams(known?.inputSchema) ?? [], args);
  const trial = new Trial({ tool, args, headers, timeoutMs });
  await caller.call(trial);
  return trial.facts;
}

function namesOf(tools: readonly JsonObject[]): readonly string[] {
  return tools.map(({ name }) => String(name));
}
