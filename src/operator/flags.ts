import type { Argv } from "yargs";
import { defaults } from "../config/schema.ts";

const text = { type: "string", requiresArg: true } as const;

/** Where the admin listener is, when no flag says it, and its token. */
export const ADMIN_URL = "MCP_TASKGATE_ADMIN";
export const ADMIN_TOKEN = "MCP_TASKGATE_ADMIN_TOKEN";

/** Where a gateway listens that was told nothing else. */
export const DEFAULT_GATEWAY = `http://${defaults.listen.host}:${defaults.listen.port}`;

/** What every command needs that asks the API of a gateway. */
export function apiFlags(parser: Argv): Argv {
  return parser
    .option("admin", {
      ...text,
      describe: `address of the gateway's admin listener [default: $${ADMIN_URL}]`,
    })
    .option("token-from", {
      ...text,
      describe: `environment variable that has the token [default: ${ADMIN_TOKEN}]`,
    })
    .option("json", { type: "boolean", describe: "print what the API answers" });
}

export function healthFlags(parser: Argv): Argv {
  return parser.positional("url", {
    type: "string",
    describe: `its address, or that of its admin listener with /health/ready [default: ${DEFAULT_GATEWAY}]`,
  });
}

export function suggestFlags(parser: Argv): Argv {
  return apiFlags(parser).option("since", {
    ...text,
    describe: "of the calls of the last hours only, such as 24h [default: since the gateway started]",
  });
}

export function webhooksFlags(parser: Argv): Argv {
  return apiFlags(parser)
    .positional("action", {
      type: "string",
      describe:
        "list · undelivered NAME: what was given up · redeliver NAME: try that again · test NAME: send an event that tells nothing",
    })
    .positional("name", { type: "string", describe: "of a webhook, as in the configuration" })
    .option("event", { ...text, describe: "redeliver: this event only, by its webhook-id" });
}

export function tasksFlags(parser: Argv): Argv {
  return apiFlags(parser)
    .positional("action", {
      type: "string",
      describe: "list · show NAME: what happened to a task · watch: what happens from now on · cancel NAME",
    })
    .positional("name", {
      type: "string",
      describe:
        "of a task, as lists and log lines show it; show and cancel take its id as well, as its client knows it",
    })
    .option("server", { ...text, describe: "list: of this server only" })
    .option("tool", { ...text, describe: "list: calls of this tool only" })
    .option("status", {
      ...text,
      describe: "list: queued, working, input_required, completed, tool_error, failed, cancelled or lost",
    })
    .option("caller", { ...text, describe: "list: of this caller only" })
    .option("max-age", { ...text, describe: "list: created so long ago at most, such as 15m or 2h" })
    .option("limit", { ...text, describe: "list: how many at most [default: 100]" });
}
