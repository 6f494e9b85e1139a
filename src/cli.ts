#!/usr/bin/env node
import yargs, { type Argv } from "yargs";
import { configOfFlags } from "./config/flag-config.ts";
import { type Flags, serveFlags } from "./config/flags.ts";
import { jsonSchema } from "./config/json-schema.ts";
import { type Loaded, loadConfig } from "./config/load.ts";
import { ConfigError } from "./config/problems.ts";
import { count, failureLines, reportLines } from "./config/report.ts";
import type { Gateway } from "./gateway.ts";
import { VERSION } from "./version.ts";

const UNUSABLE = 2;
const INTERRUPTED = 130;
const PLANNED = ["inspect", "stdio"];

process.exitCode = await main(process.argv.slice(2));

/** Runs the command and gives its exit code: 0, 1 for a file that `check` finds wrong, 2 for what cannot be used. */
async function main(args: readonly string[]): Promise<number> {
  if (PLANNED.includes(args[0] ?? "")) return refuse(`${args[0]} is not supported by this version`);
  let code = 0;
  const run = (command: (flags: Flags) => Promise<number> | number) => async (flags: Flags) => {
    code = await command(flags);
  };
  const parser = yargs(args)
    .scriptName("mcp-taskgate")
    .command(["serve", "$0"], "Run the gateway", (y) => y.options(serveFlags), run(serve))
    .command("check", "Say everything that is wrong with a file", checkFlags, run(check))
    .command("schema", "Print the JSON Schema of the file, for editors", {}, run(schema))
    .example("$0 --upstream http://localhost:3001/mcp --tool 'render_*=required'", "")
    .example("$0 --wait-for 1s -- node ./server.js --its-flag", "");
  try {
    await strict(parser).parseAsync();
    return code;
  } catch (error) {
    return refuse(`${error instanceof Error ? error.message : String(error)} (see mcp-taskgate --help)`);
  }
}

/** Nothing is guessed: no abbreviations, no `--no-port`, no numbers where a text was given, no list that swallows what follows. */
function strict(parser: Argv): Argv {
  return parser
    .parserConfiguration({
      "populate--": true,
      "boolean-negation": false,
      "camel-case-expansion": false,
      "dot-notation": false,
      "greedy-arrays": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
    })
    .strict()
    .fail(false)
    .exitProcess(false)
    .version(VERSION)
    .locale("en")
    .wrap(110);
}

/** Ends the process itself: a handle that somebody forgot must not keep a stopped gateway alive. */
async function serve(flags: Flags): Promise<never> {
  const stopped = signalled();
  try {
    const gateway = await start(await configOfFlags(flags, process.env));
    console.log(readyLines(gateway).join("\n"));
    await stopped;
    await gateway.close();
  } catch (error) {
    process.exit(refuse(error));
  }
  process.exit(0);
}

/** The rest of the program is loaded only here, so that `check` and `schema` answer at once. */
async function start({ config, warnings }: Loaded): Promise<Gateway> {
  const [{ startGateway }, { createLog }] = await Promise.all([
    import("./gateway.ts"),
    import("./ops/log.ts"),
  ]);
  const log = createLog(config.log.level);
  for (const { path, message } of warnings) log.warn({ setting: path }, message);
  return await startGateway(config, { log });
}

/** Settles with the first signal to stop. The second ends the process, whatever it is waiting for. */
function signalled(): Promise<void> {
  return new Promise((resolve) => {
    let count = 0;
    const stop = () => {
      count += 1;
      if (count > 1) process.exit(INTERRUPTED);
      resolve();
    };
    process.on("SIGTERM", stop).on("SIGINT", stop);
  });
}

function readyLines({ routes, adminUrl }: Gateway): readonly string[] {
  return [
    ...routes.map((route) =>
      [route.name, `${route.url} → ${route.upstream}`, route.description, route.store].join("  "),
    ),
    ...(adminUrl === undefined ? [] : [`admin  ${adminUrl}`]),
  ];
}

function checkFlags(parser: Argv): Argv {
  return parser.option("config", {
    type: "string",
    requiresArg: true,
    demandOption: true,
    describe: "YAML or JSON file",
  });
}

async function check({ config: file }: Flags): Promise<number> {
  if (typeof file !== "string") return refuse("give --config FILE, once");
  const { problems, warnings, servers } = await judge(file);
  for (const line of reportLines(problems, warnings)) console.log(line);
  const verdict = problems.length > 0 ? count(problems.length, "error") : `ok: ${count(servers, "server")}`;
  console.log(warnings.length > 0 ? `${verdict}, ${count(warnings.length, "warning")}` : verdict);
  return problems.length > 0 ? 1 : 0;
}

async function judge(file: string) {
  try {
    const { config, warnings } = await loadConfig(file, process.env);
    return { problems: [], warnings, servers: config.servers.length };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { problems: error.problems, warnings: error.warnings, servers: 0 };
  }
}

function schema(): number {
  console.log(JSON.stringify(jsonSchema(), null, 2));
  return 0;
}

function refuse(reason: unknown): number {
  for (const line of failureLines(reason)) console.error(line);
  return UNUSABLE;
}
