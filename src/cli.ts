#!/usr/bin/env node
import { homedir } from "node:os";
import { createInterface } from "node:readline/promises";
import type { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import yargs, { type Argv } from "yargs";
import { callFlags } from "./client/flags.ts";
import type { Values } from "./completion.ts";
import { ConfigFile } from "./config/config-file.ts";
import { configOfFlags, configOfStdioFlags } from "./config/flag-config.ts";
import { type Flags, serveFlags, stdioFlags, textsOf } from "./config/flags.ts";
import { jsonSchema } from "./config/json-schema.ts";
import { type Loaded, loadConfig } from "./config/load.ts";
import { ConfigError, UnreadableFile } from "./config/problems.ts";
import { count, failureLines, reportLines } from "./config/report.ts";
import { EXIT } from "./exit-codes.ts";
import type { Gateway } from "./gateway.ts";
import { inspectFlags } from "./inspect/flags.ts";
import { guess, nearest } from "./lib/guess.ts";
import { readable } from "./log/one-line.ts";
import { apiFlags, healthFlags, suggestFlags, tasksFlags, webhooksFlags } from "./operator/flags.ts";
import { changeFlags, clientsFlags, importFlags, wrapFlags } from "./retrofit/flags.ts";
import type { Machine } from "./retrofit/machine.ts";
import { VERBS } from "./verbs.ts";
import { VERSION } from "./version.ts";

/** How often `inspect` says that it still waits: on a terminal, and in a log. */
const INSPECTING_MS = { terminal: 2_000, log: 15_000 } as const;
/** How long a gateway may take to begin its shutdown when a signal comes during its start. */
const STUCK_MS = 5_000;
/** Hosts send several signals in a row to end a server, whatever it does, and mean one: only later ones end the gateway at once. */
const HOST_HABIT_MS = 1_000;
const PROGRAM = "mcp-taskgate";
/** With this a shell asks what can stand where the cursor is; its words follow. */
const COMPLETING = "--get-yargs-completions";

process.exitCode = await main(process.argv.slice(2));

/** Runs the command and returns its exit code. */
async function main(args: readonly string[]): Promise<number> {
  // Bun has an undici of its own in place of the package, whose agents have no `dispatch`: every call would fail.
  if (process.versions.bun !== undefined)
    return refuse(`Bun cannot run ${PROGRAM}: use Node.js 20.19 or later, or Deno`);
  let code = 0;
  const isCompletion = args.includes(COMPLETING);
  const completed = isCompletion ? await valuesFor(args) : undefined;
  const parser = (words: readonly string[]) =>
    commands(yargs(words), (command) => async (flags) => {
      code = await command(flags);
      // Not under the name of our command: that of yargs goes on to run the gateway.
    }).completion("completion-of-yargs", false, completer(completed));
  try {
    await parser(args).parseAsync();
    return code;
  } catch (error) {
    // A shell that wants to complete a command shows what it gets.
    if (isCompletion) return 0;
    const reason = error instanceof Error ? error.message : String(error);
    return refuse(`${await withoutUnknown(reason, args, parser)} (see ${helpFor(args)})`);
  }
}

/** How to ask for help about the command that was meant. */
function helpFor([word = ""]: readonly string[]): string {
  return `${PROGRAM} ${VERBS.includes(word) ? `${word} ` : ""}--help`;
}

type Command = (flags: Flags) => Promise<number> | number;

/** Each command with its flags; `run` wraps what it does. */
function commands(parser: Argv, run: (command: Command) => (flags: Flags) => Promise<void>): Argv {
  const all = parser
    .scriptName(PROGRAM)
    .command(["serve [target..]", "$0"], "Run the gateway", (y) => targets(y).options(serveFlags), run(serve))
    .command(
      "stdio [target..]",
      "Serve the one client that starts it",
      (y) => targets(y).options(stdioFlags),
      run(stdio),
    )
    .command("inspect [url]", "Say what a server is, and suggest a file for it", inspectFlags, run(inspect))
    .command(
      "call <url> <tool>",
      "Call a tool, and wait for its result however long it takes",
      callFlags,
      run(withoutCommand(call)),
    )
    .command(
      "check [file]",
      "Say everything that is wrong with a file",
      checkFlags,
      run(withoutCommand(check)),
    )
    .command(
      "store <action> <path>",
      "See what is in the directory of a level: store, and rescue what is damaged",
      storeFlags,
      run(withoutCommand(store)),
    )
    .command(
      "wrap [server..]",
      "Put the gateway in front of servers in a client's file",
      wrapFlags,
      run(withoutCommand(retrofit("runWrap"))),
    )
    .command(
      "unwrap [server..]",
      "Put them back as they were",
      changeFlags,
      run(withoutCommand(retrofit("runUnwrap"))),
    )
    .command(
      "clients",
      "List the files of clients on this machine, and their servers",
      clientsFlags,
      run(withoutCommand(retrofit("runClients"))),
    )
    .command(
      "import [file]",
      "Print a file for serve with the servers of a client's file",
      importFlags,
      run(withoutCommand(retrofit("runImport"))),
    )
    .command(
      "tasks <action> [name]",
      "See the tasks of a gateway that runs, and cancel them",
      tasksFlags,
      run(withoutCommand(tasks)),
    )
    .command(
      "servers",
      "See the servers and replicas of a gateway that runs",
      apiFlags,
      run(withoutCommand(servers)),
    )
    .command("health [url]", "Ask a gateway whether it serves", healthFlags, run(withoutCommand(health)))
    .command(
      "suggest",
      "Suggest rules from the calls that a gateway has seen",
      suggestFlags,
      run(withoutCommand(suggest)),
    )
    .command(
      "webhooks <action> [name]",
      "See whether those who are told of tasks take it, and tell them again",
      webhooksFlags,
      run(withoutCommand(webhooks)),
    )
    .command(
      "reload",
      "Have a gateway that runs take over its file as it is now",
      apiFlags,
      run(withoutCommand(reload)),
    )
    .command(
      "schema [of]",
      "Print the JSON Schema of the file, for editors, or of what webhooks are told",
      schemaFlags,
      run(withoutCommand(schema)),
    )
    .command(
      "completion [shell]",
      "Print what a shell needs to complete commands: bash or zsh",
      (y) => y.positional("shell", { type: "string", describe: "bash or zsh [default: that of $SHELL]" }),
      run(withoutCommand(completion)),
    )
    .example("$0 http://localhost:3001/mcp --tool 'render_*=required'", "")
    .example("$0 taskgate.yaml", "")
    .example("$0 inspect http://localhost:3001/mcp > taskgate.yaml", "")
    .example("$0 --wait-for 1s -- node ./server.js --its-flag", "");
  return strict(all);
}

function completion({ shell }: Flags): number {
  if (shell !== undefined && shell !== "bash" && shell !== "zsh") return refuse("give a shell: bash, zsh");
  // Where yargs looks for it.
  if (shell !== undefined) process.env.SHELL = shell;
  yargs([]).scriptName(PROGRAM).completion("completion").showCompletionScript();
  return 0;
}

async function valuesFor(args: readonly string[]): Promise<Values | undefined> {
  const { valuesAt } = await import("./completion.ts");
  // The first of the shell's words is this program.
  return valuesAt(args.slice(args.indexOf(COMPLETING) + 2), process.env);
}

/** Answers the shell; with nothing where nothing is to be found, such as the tasks of a gateway that does not answer. */
function completer(values: Values | undefined) {
  return (
    _current: string,
    _flags: unknown,
    commandsAndFlags: () => unknown,
    done: (completions: string[]) => void,
  ): void => {
    if (values === undefined) return void commandsAndFlags();
    void Promise.resolve()
      .then(values)
      .catch(() => [])
      .then((found) => {
        done([...found]);
        // Nobody waits for a gateway that has not answered in time.
        process.exit();
      });
  };
}

/** Guesses nothing: no abbreviations, no `--no-port`, no numbers where a text was given, no list that swallows what follows. */
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

/**
 * What yargs says, without the arguments it does not know unless each has the form of a flag's name. Others may be secrets:
 * what stands after `Authorization:` without quotes, or after a flag that does not exist, and `-Hname` is spelled out letter by letter.
 */
async function withoutUnknown(
  reason: string,
  args: readonly string[],
  parser: (words: readonly string[]) => Argv,
): Promise<string> {
  const help = () => parser(args.slice(0, 1).filter((word) => !word.startsWith("-"))).getHelp();
  if (reason.startsWith("Not enough non-option arguments"))
    return `an argument is missing: ${(await help()).split("\n", 1)[0]}`;
  const unknown = /^Unknown arguments?: (.*)$/s.exec(reason)?.[1];
  if (unknown === undefined) return reason;
  const isFlag = (name: string) =>
    /^[a-z]+(-[a-z]+)*$/.test(name) &&
    args.some((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`));
  const flags = unknown.split(", ").filter(isFlag);
  if (flags.length === 0) return "Unknown argument, not shown because it may be a secret";
  const known = [...(await help()).matchAll(/^ +--([a-z-]+)/gm)].map(([, name = ""]) => name);
  const near = flags.map((name) => nearest(name, known)).filter((name) => name !== undefined);
  const meant = near.length === 0 ? "" : `; did you mean ${near.map((name) => `--${name}`).join(", ")}?`;
  return `Unknown argument${flags.length > 1 ? "s" : ""}: ${flags.join(", ")}${meant}`;
}

function targets(parser: Argv): Argv {
  return parser.positional("target", {
    type: "string",
    array: true,
    describe: "URL of the server, or a configuration file: short for --upstream and --config",
  });
}

/**
 * The flags, with a bare word taken for the URL or the file that it looks like. No message repeats a word: a URL may hold a password,
 * and a word after a header without quotes is its value.
 * @throws ConfigError when the word looks like neither
 */
function withTarget({ target, ...flags }: Flags): Flags {
  const [word, ...more] = textsOf(target);
  if (word === undefined) return flags;
  const flag = /^https?:/i.test(word) ? "upstream" : /\.(ya?ml|json)$/i.test(word) ? "config" : undefined;
  const [first, second] = [
    "first argument that belongs to no flag",
    "second argument that belongs to no flag",
  ];
  if (flag === undefined)
    throw misplaced(
      first,
      `is no URL and no file${guess(word, VERBS)}; a command goes after two dashes, mcp-taskgate -- COMMAND, and a value with blanks in quotes`,
    );
  if (more.length > 0)
    throw misplaced(
      second,
      `comes after a ${flag === "upstream" ? "URL" : "file"}, which is all there can be`,
    );
  if (flags[flag] !== undefined) throw misplaced(first, `is the same as --${flag}, which is given as well`);
  return { ...flags, [flag]: word };
}

function misplaced(path: string, message: string): ConfigError {
  return new ConfigError([{ path, message }]);
}

/** Ends the process itself: a forgotten handle must not keep a stopped gateway alive. */
async function serve(flags: Flags): Promise<never> {
  let reload: Gateway["reload"];
  const stopped = signalled(0, () => reload);
  try {
    const given = withTarget(flags);
    const read = () => configOfFlags(given, process.env);
    const file = typeof given.config === "string" ? new ConfigFile(given.config, read) : undefined;
    const { startGateway, config, log } = await load(await (file ?? { read }).read());
    const start = startGateway(config, {
      log,
      enough: stopped,
      listsTools: true,
      ...(file === undefined ? {} : { file }),
    });
    const isStuck = stopped.then(() => sleep(STUCK_MS));
    // A store on a file system that does not answer would keep the process from ending.
    const gateway = await Promise.race([start, isStuck]);
    if (gateway === undefined) process.exit(EXIT.interrupted);
    if (config.reload === "watch") reload = gateway.reload;
    console.log(readyLines(gateway).join("\n"));
    await stopped;
    await gateway.close();
  } catch (error) {
    process.exit(refuse(error));
  }
  process.exit(0);
}

/** Standard output belongs to the protocol. Ends the process itself, as `serve` does. */
async function stdio(flags: Flags): Promise<never> {
  const stopped = signalled(HOST_HABIT_MS);
  let code: number;
  try {
    const loaded = await configOfStdioFlags(withTarget(flags), process.env);
    const { serveStdio, config, log } = await load(loaded, process.stderr);
    const gateway = await serveStdio(config, { input: process.stdin, output: process.stdout, log });
    const { clientLeft, serverLeft } = gateway;
    void stopped.then((signal) => gateway.signal(signal));
    // To the client this program is the server, and the client knows what to do when that exits.
    const isLost = serverLeft.then(() => EXIT.failed);
    code = await Promise.race([Promise.race([clientLeft, stopped]).then(() => 0), isLost]);
    await gateway.close(Promise.all([clientLeft, stopped]));
  } catch (error) {
    process.exit(refuse(error));
  }
  process.exit(code);
}

/** Loads the rest of the program only here, so that `check` and `schema` answer at once. */
async function load({ config, warnings }: Loaded, unread?: Writable) {
  const [gateway, { createLog, logStream, lossy }] = await Promise.all([
    import("./gateway.ts"),
    import("./log/log.ts"),
  ]);
  const to = unread === undefined ? logStream() : lossy(unread);
  const { level, format } = config.log;
  const isTerminal = process.stderr.isTTY === true;
  const isPretty = format === "auto" ? isTerminal : format === "pretty";
  const log = createLog(level, isPretty ? (await import("./log/pretty.ts")).prettyLines(to, isTerminal) : to);
  for (const { path, message } of warnings) log.warn({ setting: path }, message);
  return { ...gateway, config, log };
}

/** Only `serve`, `stdio` and `inspect` start a command; the others refuse one instead of ignoring it. */
function withoutCommand(command: Command): Command {
  return (flags: Flags) =>
    flags["--"] === undefined ? command(flags) : refuse("nothing may stand behind -- here");
}

/**
 * Settles with the first signal to stop, or when the terminal closes, which servers in process groups of their own do not hear of. The next
 * signal ends the process, whatever it waits for.
 * @param habitMs how long after the first signal others count for nothing
 * @param onHangUp gives what SIGHUP does, if that is not to stop
 */
function signalled(
  habitMs = 0,
  onHangUp: () => ((signal: NodeJS.Signals) => unknown) | undefined = () => undefined,
): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let firstAt: number | undefined;
    const stop = (signal: NodeJS.Signals) => {
      if (firstAt !== undefined && performance.now() - firstAt >= habitMs) process.exit(EXIT.interrupted);
      firstAt ??= performance.now();
      resolve(signal);
    };
    process.on("SIGTERM", stop).on("SIGINT", stop);
    process.on("SIGHUP", (signal) => (onHangUp() ?? stop)(signal));
  });
}

function readyLines({ routes, adminUrl }: Gateway): readonly string[] {
  return [
    ...routes.flatMap(({ name, url, upstream, description, store, aliases, server, tools }) => {
      const also = aliases.map((alias) => `also at ${alias}`);
      const about = [server, tools].filter((text) => text !== undefined);
      const line = [name, `${url} → ${upstream}`, description, store, ...also].join("  ");
      return about.length === 0 ? [line] : [line, `  ${about.join("; ")}`];
    }),
    ...(adminUrl === undefined ? [] : [`admin  ${adminUrl}`]),
    ...routes
      .filter(isElsewhere)
      .map(({ name, upstream }) => `hint  mcp-taskgate inspect ${upstream} looks for ${name}`),
    "ready: connect clients to the addresses before the arrows; Ctrl-C stops the gateway",
  ];
}

/** Whether something answers there that is not an MCP server; `inspect` tries the usual paths. */
function isElsewhere({ description }: Gateway["routes"][number]): boolean {
  return /^unreachable: .* HTTP 40[45]\b/.test(description);
}

/** Prints a file for `serve`, with its findings as comments. */
async function inspect(flags: Flags): Promise<number> {
  const { runInspect } = await import("./inspect/command.ts");
  bearClosing();
  const { text, complaints, code } = await runInspect(flags, process.env, signalled(), {
    everyMs: process.stderr.isTTY ? INSPECTING_MS.terminal : INSPECTING_MS.log,
    say: (line) => console.error(line),
  });
  for (const line of complaints) console.error(line);
  process.stdout.write(text);
  // Do not wait for what is still open.
  if (code === EXIT.interrupted) process.exit(code);
  return code;
}

/** Whoever reads what is printed may have read enough, as `head` does. Any other error, such as a full disk, ends the process. */
function bearClosing(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") process.exit(refuse(error));
    });
}

/** A command about the files of clients on this machine. */
function retrofit(name: "runWrap" | "runUnwrap" | "runClients" | "runImport") {
  return async (flags: Flags): Promise<number> => {
    const { [name]: command } = await import("./retrofit/command.ts");
    const { platform, env, execPath, execArgv, argv, stdin, stderr } = process;
    const machine: Machine = {
      platform: platform === "win32" || platform === "darwin" ? platform : "linux",
      home: homedir(),
      cwd: process.cwd(),
      env,
      program: [execPath, ...execArgv, argv[1] ?? "mcp-taskgate"],
    };
    const terminal = {
      print: (line: string) => console.log(line),
      say: (line: string) => console.error(line),
      ...(stdin.isTTY && stderr.isTTY ? { ask } : {}),
    };
    return command(flags, machine, terminal).catch(refuse);
  };
}

/** Asks on the terminal; anything but yes is no. */
async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
  } finally {
    lines.close();
  }
}

/** Calls a tool of a server, as a client that knows tasks. */
async function call(flags: Flags): Promise<number> {
  const { runCall } = await import("./client/command.ts");
  bearClosing();
  const { stdin: input, stdout: output, stderr: messages } = process;
  return runCall(flags, process.env, signalled(), { input, output, messages });
}

function checkFlags(parser: Argv): Argv {
  return parser
    .positional("file", { type: "string", describe: "YAML or JSON file" })
    .option("config", { type: "string", requiresArg: true, describe: "the same" });
}

async function check({ file: given, config }: Flags): Promise<number> {
  const files = [given, config].filter((each) => each !== undefined);
  const [file] = files;
  if (typeof file !== "string" || files.length > 1) return refuse("give one file: mcp-taskgate check FILE");
  const judged = await judge(file).catch((error: unknown) => refuse(error));
  if (typeof judged === "number") return judged;
  const { problems, warnings, servers } = judged;
  for (const line of reportLines(problems, warnings)) console.log(line);
  const summary = problems.length > 0 ? count(problems.length, "error") : `ok: ${count(servers, "server")}`;
  console.log(warnings.length > 0 ? `${summary}, ${count(warnings.length, "warning")}` : summary);
  return problems.length > 0 ? EXIT.failed : EXIT.done;
}

async function judge(file: string) {
  try {
    const { config, warnings } = await loadConfig(file, process.env);
    return { problems: [], warnings, servers: config.servers.length };
  } catch (error) {
    if (!(error instanceof ConfigError) || error instanceof UnreadableFile) throw error;
    return { problems: error.problems, warnings: error.warnings, servers: 0 };
  }
}

function storeFlags(parser: Argv): Argv {
  return parser
    .positional("action", {
      type: "string",
      // Without `choices`, for which yargs would repeat an argument that is none of them.
      describe:
        "check: say what is there · repair: keep what can be read · export: to standard output · import: from standard input",
    })
    .positional("path", { type: "string", describe: "the directory, as it stands after level:" });
}

async function store({ action, path }: Flags): Promise<number> {
  const { runStore, STORE_ACTIONS } = await import("./store/embedded/command.ts");
  const wanted = STORE_ACTIONS.find((each) => each === action);
  if (wanted === undefined) return refuse(`give an action: ${STORE_ACTIONS.join(", ")}`);
  if (typeof path !== "string") return refuse("give a directory");
  if (/^[a-z+]{2,}:\/\//i.test(path))
    return refuse("give a directory: this is about level: stores, and no URL");
  const { stdin: input, stdout: output } = process;
  try {
    return await runStore(wanted, path.replace(/^level:/, ""), {
      input,
      output,
      say: (line) => console.error(line),
    });
  } catch (error) {
    return refuse(error);
  }
}

/** Asks the API of a gateway that runs. */
async function tasks(flags: Flags): Promise<number> {
  const { runTasks } = await import("./operator/command.ts");
  bearClosing();
  return runTasks(flags, process.env, signalled(), terminal());
}

async function servers(flags: Flags): Promise<number> {
  const { runServers } = await import("./operator/command.ts");
  bearClosing();
  return runServers(flags, process.env, terminal());
}

async function health(flags: Flags): Promise<number> {
  const { runHealth } = await import("./operator/health.ts");
  bearClosing();
  return runHealth(flags, terminal());
}

async function suggest(flags: Flags): Promise<number> {
  const { runSuggest } = await import("./operator/command.ts");
  bearClosing();
  return runSuggest(flags, process.env, terminal());
}

async function webhooks(flags: Flags): Promise<number> {
  const { runWebhooks } = await import("./operator/webhooks.ts");
  bearClosing();
  return runWebhooks(flags, process.env, terminal());
}

async function reload(flags: Flags): Promise<number> {
  const { runReload } = await import("./operator/command.ts");
  bearClosing();
  return runReload(flags, process.env, terminal());
}

function terminal() {
  return { print: (line: string) => console.log(line), say: (line: string) => console.error(line) };
}

function schemaFlags(parser: Argv): Argv {
  return parser.positional("of", { type: "string", default: "config", describe: "config · webhooks" });
}

async function schema({ of }: Flags): Promise<number> {
  if (of !== "config" && of !== "webhooks") return refuse("give what the schema is of: config or webhooks");
  const { bodySchema } = await import("./webhooks/body-schema.ts");
  console.log(JSON.stringify(of === "config" ? jsonSchema() : bodySchema(), null, 2));
  return 0;
}

function refuse(reason: unknown): number {
  for (const lines of failureLines(reason))
    for (const line of lines.split("\n")) console.error(readable(line));
  return EXIT.unusable;
}
