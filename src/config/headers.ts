import { z } from "zod";
import { list } from "./fields.ts";

/** RFC 9110 §5.6.2 (token) and §5.5 (field values without control characters). No regex flags, which the JSON Schema would lose. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]+$/;

/** Headers that the gateway or the HTTP connection sets; a fixed or forwarded value would break the exchange. */
const OWN = new Set([
  "accept",
  "accept-encoding",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "keep-alive",
  "last-event-id",
  "mcp-method",
  "mcp-name",
  "mcp-protocol-version",
  "mcp-session-id",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Whether the gateway sends a header of this name itself, and takes none from a file. */
export function isOwnHeader(name: string): boolean {
  return OWN.has(name.toLowerCase());
}

/** Headers by name. No message quotes a value: values are secrets. */
export function staticHeaders() {
  const value = z
    .string({ error: "must be text" })
    .refine((given) => VALUE.test(given), { error: "must be a header value: not empty, no line breaks" });
  return z
    .record(headerName(OWN), value, { error: "must be a mapping from header names to values" })
    .meta({ values: "mapping" });
}

/** Names of headers, in lower case. */
export function forwardHeaders() {
  return list(headerName(new Set([...OWN, "host"])).transform((name) => name.toLowerCase())).meta({
    values: "list of names",
  });
}

function headerName(own: ReadonlySet<string>) {
  return z
    .string({ error: "must be the name of a header" })
    .regex(NAME, { error: "must be the name of a header" })
    .refine((name) => !own.has(name.toLowerCase()), { error: "is set by the gateway itself" });
}
