import { isJsonRpcError } from "../protocol/errors.ts";
import { isObject, type JsonRpcError } from "../protocol/jsonrpc.ts";
import { URL_ELICITATION_REQUIRED } from "../protocol/legacy.ts";
import type { InputRequest } from "../store/task-store.ts";
import type { Answer } from "./questions.ts";

/** What a client must declare before the gateway sends its user to a page. */
export const VISITING = { elicitation: { url: {} } } as const;

/**
 * The pages that the user must visit before the server begins, as questions (2025-11-25, Elicitation §URL Elicitation Required
 * Error). Empty for every other error.
 */
export function requiredVisits(error: JsonRpcError): readonly InputRequest[] {
  if (error.code !== URL_ELICITATION_REQUIRED || !isJsonRpcError(error) || !isObject(error.data)) return [];
  const { elicitations } = error.data;
  const pages = Array.isArray(elicitations)
    ? elicitations.filter((one) => isObject(one) && typeof one.url === "string")
    : [];
  return pages.map((page) => ({ method: "elicitation/create", params: { mode: "url", ...page } }));
}

/** Whether the user went where the server sent them. */
export function hasVisited(answer: Answer): boolean {
  return answer !== undefined && "result" in answer && answer.result.action === "accept";
}
