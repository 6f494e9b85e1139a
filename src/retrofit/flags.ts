import type { Argv, Options } from "yargs";
import { CLIENTS } from "./clients.ts";

const NAMES = CLIENTS.filter(({ instead }) => instead === undefined).map(({ name }) => name);
const client: Options = { type: "string", requiresArg: true, describe: `one of ${NAMES.join(", ")}` };
const json: Options = { type: "boolean", describe: "print what was found as JSON" };

/** The flags of `wrap` and of `unwrap`. */
export const changeFlags = (parser: Argv): Argv =>
  parser
    .positional("server", {
      type: "string",
      array: true,
      describe: "a file before the servers' names, or only names, with --client",
    })
    .options({
      client,
      all: { type: "boolean", describe: "every server of the file" },
      "dry-run": { type: "boolean", describe: "only show what would change" },
      yes: { type: "boolean", describe: "do not ask; needed where there is no terminal" },
    });

export const wrapFlags = (parser: Argv): Argv =>
  changeFlags(parser).option("force", {
    type: "boolean",
    describe: "also servers at a URL that the client may have logged in to",
  });

export const clientsFlags = (parser: Argv): Argv => parser.options({ json });

export const importFlags = (parser: Argv): Argv =>
  parser.positional("file", { type: "string", describe: "a client's file" }).options({ client });
