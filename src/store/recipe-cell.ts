import { isObject, type JsonObject, RawJson, toJson } from "../protocol/jsonrpc.ts";
import { paramsText, readParams } from "../protocol/raw-json.ts";
import type { CallRecipe } from "./task-store.ts";

/**
 * A `CallRecipe` as stored. The params are one string, so that a reader need not parse the arguments into objects. Gateways before 0.2
 * stored `params`; they take this for one without params, of a call that they never send again.
 */
interface RecipeCell extends Omit<CallRecipe, "params"> {
  readonly paramsText?: string;
  /** From a gateway before 0.2. */
  readonly params?: JsonObject;
}

export function recipeCell({ params, ...rest }: CallRecipe): RecipeCell {
  return params === undefined ? rest : { ...rest, paramsText: paramsText(params) };
}

/** The opposite of `recipeCell`. @throws SyntaxError when the params are unreadable */
export function recipeOf({ paramsText: text, params, ...rest }: RecipeCell): CallRecipe {
  if (text !== undefined) return { ...rest, params: readParams(text) };
  return params === undefined ? rest : { ...rest, params: withText(params) };
}

/** How many bytes of a stored call come from the client: params and answers. */
export function recipeBytes({ params = {}, answers = {} }: CallRecipe): number {
  return Buffer.byteLength(paramsText(params)) + Buffer.byteLength(toJson(answers));
}

function withText(params: JsonObject): JsonObject {
  const { arguments: args } = params;
  return isObject(args) ? { ...params, arguments: new RawJson(toJson(args)) } : params;
}
