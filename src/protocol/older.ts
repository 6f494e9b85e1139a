import { isObject, type JsonObject, RawJson, saysObject, toJson } from "./jsonrpc.ts";
import { META, TASKS_EXTENSION } from "./modern.ts";

/** What servers of 2026-07-28 say, for clients of older revisions. */

/** The methods whose results have hints for caches since 2026-07-28 (Caching). */
const CACHEABLE: ReadonlySet<string> = new Set([
  "tools/list",
  "prompts/list",
  "resources/list",
  "resources/templates/list",
  "resources/read",
]);

/** A server's capabilities without the Tasks extension: older revisions have other tasks, which are the gateway's. */
export function olderCapabilities({ extensions, ...rest }: JsonObject): JsonObject {
  if (!isObject(extensions)) return rest;
  const { [TASKS_EXTENSION]: _, ...others } = extensions;
  return Object.keys(others).length === 0 ? rest : { ...rest, extensions: others };
}

/** A complete result without what only 2026-07-28 has in it. Any other kind of result is returned as it is. */
export function olderResult(method: string, result: JsonObject): JsonObject {
  const { resultType, ...said } = result;
  if (resultType !== undefined && resultType !== "complete") return result;
  const { ttlMs: _, cacheScope: __, ...uncached } = said;
  const plain = withoutServerInfo(CACHEABLE.has(method) ? uncached : said);
  switch (method) {
    case "tools/list":
      return Array.isArray(plain.tools) ? { ...plain, tools: plain.tools.map(olderTool) } : plain;
    case "tools/call":
      return olderToolResult(plain);
    default:
      return plain;
  }
}

/**
 * A server's question. Clients of 2025-11-25 refuse one that sends its user to a page without an `elicitationId`, which 2026-07-28 has
 * not (2025-11-25, Elicitation §URL Mode).
 */
export function olderQuestion<Q extends { readonly method: string; readonly params?: JsonObject }>(
  question: Q,
  elicitationId: string,
): Q {
  const { method, params } = question;
  if (method !== "elicitation/create" || params?.mode !== "url") return question;
  return { ...question, params: { elicitationId, ...params } };
}

/** A server names itself in its answer to `initialize`, and not in every result. */
function withoutServerInfo(result: JsonObject): JsonObject {
  const { _meta, ...rest } = result;
  if (!isObject(_meta) || _meta[META.serverInfo] === undefined) return result;
  const { [META.serverInfo]: _, ...meta } = _meta;
  return Object.keys(meta).length === 0 ? rest : { ...rest, _meta: meta };
}

/** Before 2026-07-28 a tool's structured results are objects, and official clients refuse a whole list with any other schema in it. */
function olderTool(tool: unknown): unknown {
  if (!isObject(tool) || tool.outputSchema === undefined) return tool;
  const { outputSchema, ...rest } = tool;
  return isObject(outputSchema) && outputSchema.type === "object" ? tool : rest;
}

/** A structured result that is no object is left out, or is the text of a result that has no other content. */
function olderToolResult(result: JsonObject): JsonObject {
  const { structuredContent, ...rest } = result;
  if (structuredContent === undefined || saysObject(structuredContent)) return result;
  const { content } = rest;
  const saysMore = content instanceof RawJson || (Array.isArray(content) && content.length > 0);
  return saysMore ? rest : { ...rest, content: [{ type: "text", text: toJson(structuredContent) }] };
}
