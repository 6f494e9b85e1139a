import { isObject, type JsonObject, RawJson, toJson } from "../protocol/jsonrpc.ts";
import { paramsText, readParams } from "../protocol/raw-json.ts";
import type { StoredCall } from "./task-store.ts";

/**
 * A `StoredCall` as stored. The params are one string, so that a reader need not parse the arguments into objects. Gateways before 0.2
 * stored `params`; they take this for one without params, of a call that they never send again.
 */
interface StoredCallCell extends Omit<StoredCall, "params"> {
  readonly paramsText?: string;
  /** From a gateway before 0.2. */
  readonly params?: JsonObject;
}

export function storedCallCell({ params, ...rest }: StoredCall): StoredCallCell {
  return params === undefined ? rest : { paramsText: paramsText(params), ...rest };
}

/** The opposite of `storedCallCell`. @throws SyntaxError when the params are unreadable */
export function storedCallOf({ paramsText: text, params, ...rest }: StoredCallCell): StoredCall {
  if (text !== undefined) return { ...rest, params: readParams(text) };
  return params === undefined ? rest : { ...rest, params: withText(params) };
}

/** How many bytes of a stored call come from the client: params and answers. */
export function storedCallBytes({ params = {}, answers = {} }: StoredCall): number {
  return Buffer.byteLength(paramsText(params)) + Buffer.byteLength(toJson(answers));
}

function withText(params: JsonObject): JsonObject {
  const { arguments: args } = params;
  return isObject(args) ? { ...params, arguments: new RawJson(toJson(args)) } : params;
}
