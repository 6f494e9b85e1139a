import { headerParams } from "../protocol/headers.ts";
import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import type { ListFacts, ToolFacts } from "./facts.ts";
import type { Speaker } from "./speaker.ts";
import { wordsOf } from "./unfit.ts";

/** What a server lists, with the tools as it lists them. */
export interface Listed {
  readonly tools: readonly JsonObject[];
  /** Whether `tools` is all of them. */
  readonly hasTools: boolean;
  readonly facts: ListFacts;
}

/** A server that never comes to the end of a list is not followed further. */
const MAX_PAGES = 100;
const MAX_ITEMS = 100_000;
const HINTS = ["readOnlyHint", "idempotentHint", "destructiveHint", "openWorldHint"] as const;

/** Lists everything that the server says it has. What it does not list is a problem to be told, and no failure. */
export async function listAll(server: Speaker): Promise<Listed> {
  const problems: string[] = [];
  const { tools, prompts, resources } = server.description.capabilities;
  const list = async (method: string, field: string) => {
    try {
      return await listOne(server, method, field);
    } catch (error) {
      problems.push(`${method}: ${wordsOf(error)}`);
      return undefined;
    }
  };
  const found = tools === undefined ? [] : await list("tools/list", "tools");
  const counts = {
    prompts: prompts === undefined ? undefined : (await list("prompts/list", "prompts"))?.length,
    resources: resources === undefined ? undefined : (await list("resources/list", "resources"))?.length,
    resourceTemplates:
      resources === undefined
        ? undefined
        : (await list("resources/templates/list", "resourceTemplates"))?.length,
  };
  const named = (found ?? []).filter((tool) => typeof tool.name === "string");
  return {
    tools: named,
    hasTools: found !== undefined,
    facts: { tools: named.map(toolFacts), ...present(counts), problems },
  };
}

/** The tools alone. @throws UpstreamFailure, or Error with what the server refused with */
export async function listTools(server: Speaker): Promise<readonly JsonObject[]> {
  if (server.description.capabilities.tools === undefined) return [];
  return (await listOne(server, "tools/list", "tools")).filter((tool) => typeof tool.name === "string");
}

/** What a tool says of itself. */
export function toolFacts({ name, annotations, execution, inputSchema }: JsonObject): ToolFacts {
  const given = isObject(annotations) ? annotations : {};
  const hints = HINTS.filter((hint) => typeof given[hint] === "boolean").map((hint) => [hint, given[hint]]);
  const taskSupport = isObject(execution) ? execution.taskSupport : undefined;
  const mirrored = headerParams(inputSchema);
  return {
    name: String(name),
    ...Object.fromEntries(hints),
    ...(typeof taskSupport === "string" ? { taskSupport } : {}),
    ...(mirrored === undefined ? { headerParams: "invalid" } : {}),
    ...(mirrored === undefined || mirrored.length === 0 ? {} : { headerParams: mirrored.length }),
  };
}

async function listOne(server: Speaker, method: string, field: string): Promise<readonly JsonObject[]> {
  const items: JsonObject[] = [];
  let cursor: unknown;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const response = await server.ask(method, cursor === undefined ? {} : { cursor });
    if ("error" in response) throw new Error(`the server refused: ${response.error.message}`);
    const { [field]: listed, nextCursor } = response.result;
    if (!Array.isArray(listed)) throw new Error(`the answer has no list of ${field}`);
    for (const item of listed) if (isObject(item)) items.push(item);
    if (items.length > MAX_ITEMS) throw new Error(`the list has more than ${MAX_ITEMS} ${field}`);
    if (typeof nextCursor !== "string") return items;
    cursor = nextCursor;
  }
  throw new Error(`the list does not end within ${MAX_PAGES} pages`);
}

function present(counts: Readonly<Record<string, number | undefined>>): Partial<ListFacts> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== undefined));
}
