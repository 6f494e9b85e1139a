import { type Attributes, type Span, SpanStatusCode } from "@opentelemetry/api";
import { isObject } from "../../protocol/jsonrpc.ts";

/** What a span is called, and its attributes, after OpenTelemetry's semantic conventions for MCP. Never ids that are keys, callers or arguments. */
export interface Told {
  readonly name: string;
  readonly attributes: Attributes;
}

/** Clients and servers may send any text as a method or as a name: none goes into a span that cannot be one. */
const METHOD = /^[\w/.$-]{1,100}$/;
/** Tools §Tool Names: names should have 128 characters at most. */
const MAX_NAME_CHARS = 128;
const OTHER = "_OTHER";

/** @param server as the configuration names it */
export function toldOf(server: string, method: string, params: unknown): Told {
  const known = METHOD.test(method) ? method : OTHER;
  const own = { "mcp.method.name": known, "taskgate.server": server };
  const target = nameOf(isObject(params) ? params.name : undefined);
  switch (known) {
    case "tools/call":
      return { name: `${known} ${target}`, attributes: { ...own, ...ofTool(target) } };
    case "prompts/get":
      return { name: `${known} ${target}`, attributes: { ...own, "gen_ai.prompt.name": target } };
    default:
      return { name: known, attributes: own };
  }
}

/** The same of a task that a call of this tool became. */
export function toldOfTask(server: string, tool: string): Told {
  const target = nameOf(tool);
  return { name: `task ${target}`, attributes: { "taskgate.server": server, ...ofTool(target) } };
}

function ofTool(name: string): Attributes {
  return { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name };
}

function nameOf(given: unknown): string {
  return typeof given === "string" && given.length <= MAX_NAME_CHARS ? given : OTHER;
}

/** The type of the error if a tool's result says that the tool failed. */
export const TOOL_ERROR = "tool_error";

/** Says that what the span is about failed. @param type low in number: `tool_error`, the code of a JSON-RPC error, a status of HTTP */
export function fail(span: Span, type: string): void {
  span.setAttribute("error.type", type).setStatus({ code: SpanStatusCode.ERROR });
}
