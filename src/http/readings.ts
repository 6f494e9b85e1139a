import type { IncomingMessage } from "node:http";
import { ambiguityIn } from "../protocol/ambiguity.ts";
import { rpc } from "../protocol/errors.ts";
import { MAX_BATCH } from "../protocol/legacy.ts";
import type { Body } from "./inbound.ts";

/**
 * Rates, policies and the refusals of a gateway that stops apply to what the gateway reads in a message. So no message may reach a server's
 * endpoint in which the server, which may be lenient, could read something else.
 */

/** Methods that a server may use (RFC 9110 §9.3, RFC 5789), and those of an MCP endpoint. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const ENDPOINT_METHODS = ["GET", "HEAD", "POST", "DELETE", "OPTIONS"];
/** Known, but never passed on: they would show a client what the gateway adds, and lead it past the gateway. */
const NEVER_PASSED = new Set(["CONNECT", "TRACE"]);

/** The methods to name to a browser. */
export function methodsOf(isEndpoint: boolean): string {
  return (isEndpoint ? ENDPOINT_METHODS : METHODS).filter((method) => method !== "OPTIONS").join(", ");
}

/** @throws 405 and 501 (RFC 9110 §15.5.6, §15.6.2) */
export function checkMethod({ method = "" }: IncomingMessage, isEndpoint: boolean): void {
  const allowed = isEndpoint ? ENDPOINT_METHODS : METHODS;
  if (allowed.includes(method)) return;
  if (METHODS.includes(method) || NEVER_PASSED.has(method))
    throw rpc.methodNotAllowed(method, allowed.join(", "));
  throw rpc.methodUnknown(method);
}

/**
 * Types with a parser of their own, which may find a message in what is JSON as well. Servers that accept a type without a parser take it
 * for JSON.
 */
const READ_OTHERWISE = new Set([
  "application/x-www-form-urlencoded",
  "application/cbor",
  "application/msgpack",
  "application/x-msgpack",
  "application/vnd.msgpack",
  "application/yaml",
  "application/x-yaml",
  "text/yaml",
  "application/xml",
  "text/xml",
]);
const UTF_8 = new Set(["utf-8", "utf8"]);

/** Refuses a body that not only a parser of JSON in UTF-8 reads. @throws 415 */
export function checkEncoding({ headers }: IncomingMessage): void {
  const { "content-encoding": coding = "", "content-type": type = "" } = headers;
  if (type === "application/json" && coding === "") return;
  const codings = coding.split(",").map((name) => name.trim().toLowerCase());
  if (codings.some((name) => name !== "" && name !== "identity")) throw rpc.unsupportedCoding(coding);
  const [mediaType = "", ...parameters] = type.split(";").map((part) => part.trim().toLowerCase());
  if (READ_OTHERWISE.has(mediaType) || mediaType.startsWith("multipart/"))
    throw rpc.unsupportedMediaType(type);
  for (const parameter of parameters) {
    const [name = "", value = ""] = parameter.split("=", 2).map((part) => part.trim());
    const charset = value.replaceAll('"', "");
    if (name === "charset" && !UTF_8.has(charset)) throw rpc.unsupportedCharset(charset);
  }
}

/**
 * Refuses a body that is not one JSON text, or that two readers may read differently.
 * @throws 400
 */
export function checkReading(method: string | undefined, { bytes, json, fault }: Body): void {
  if (method !== "POST") {
    if (bytes.length > 0) throw rpc.invalidRequest(`${method} has no body here`);
    return;
  }
  if (fault !== undefined) throw rpc.parseError(fault);
  if (Array.isArray(json) && json.length > MAX_BATCH) throw rpc.badBatch(json.length, MAX_BATCH);
  const ambiguity = ambiguityIn(bytes.toString("utf8"), json);
  if (ambiguity !== undefined) throw rpc.invalidRequest(ambiguity);
}
