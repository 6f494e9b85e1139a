import { isObject, type JsonObject, RawJson, toJson } from "../protocol/jsonrpc.ts";
import { paramsText, readParams } from "../protocol/raw-json.ts";
import type { CallRecipe } from "./task-store.ts";

/**
 * A recipe as it is stored. The params are one string: whoever reads it does not make a tree of the arguments, of which a store may have
 * many. Gateways before 0.2 had `params` here; to one of them this is a recipe without params, of a call that is never sent again.
 */
interface RecipeCell extends Omit<CallRecipe, "params"> {
  readonly paramsText?: string;
  /** Of a gateway before 0.2. */
  readonly params?: JsonObject;
}

export function recipeCell({ params, ...rest }: CallRecipe): RecipeCell {
  return params === undefined ? rest : { ...rest, paramsText: paramsText(params) };
}

/** @throws SyntaxError when it is no recipe */
export function recipeOf({ paramsText: text, params, ...rest }: RecipeCell): CallRecipe {
  if (text !== undefined) return { ...rest, params: readParams(text) };
  return params === undefined ? rest : { ...rest, params: withText(params) };
}

/** How many bytes of a recipe its client's part takes. */
export function recipeBytes({ params = {}, answers = {} }: CallRecipe): number {
  return Buffer.byteLength(paramsText(params)) + Buffer.byteLength(toJson(answers));
}

function withText(params: JsonObject): JsonObject {
  const { arguments: args } = params;
  return isObject(args) ? { ...params, arguments: new RawJson(toJson(args)) } : params;
}
