import type { Argv } from "yargs";
import { serveFlags } from "../config/flags.ts";

export function callFlags(parser: Argv): Argv {
  return parser
    .positional("url", { type: "string", describe: "URL of a gateway, or of another server of 2026-07-28" })
    .positional("tool", { type: "string", describe: "the tool to call" })
    .options({
      args: { type: "string", requiresArg: true, describe: "its arguments, a JSON object [default: {}]" },
      header: serveFlags.header,
      json: { type: "boolean", describe: "print the whole result as JSON" },
    });
}
