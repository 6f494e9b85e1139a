import type { UpstreamConfig } from "../config/config.ts";
import { masked, secretsIn, secretsInEnvironment } from "./transports/masked.ts";

/**
 * Where a server is, for people: its URL without the query, or its command with the arguments. Variables and files, which the
 * configuration may have put into path or arguments, and headers are masked.
 */
export function addressOf(upstream: UpstreamConfig): string {
  const { secrets: fromFiles = [] } = upstream;
  if (upstream.transport === "stdio") {
    const secrets = [...secretsInEnvironment({ ...process.env, ...upstream.env }), ...fromFiles];
    return [upstream.command, ...upstream.args].map((word) => asWord(masked(word, secrets))).join(" ");
  }
  const secrets = [...secretsInEnvironment(process.env), ...secretsIn(upstream.headers), ...fromFiles];
  return `${upstream.url.origin}${masked(upstream.url.pathname, secrets)}`;
}

/** As it is if it reads as one word on one line; else as JSON. */
function asWord(text: string): string {
  return /^[\x21-\x7e…]+$/.test(text) ? text : JSON.stringify(text);
}
