import type { Argv } from "yargs";
import type { UpstreamConfig } from "../config/config.ts";
import type { Environment } from "../config/environment.ts";
import { duration } from "../config/fields.ts";
import { configOfFlags, upstreamOfFlags } from "../config/flag-config.ts";
import { type Flags, serveFlags } from "../config/flags.ts";
import { ConfigError, type Problem } from "../config/problems.ts";
import { isObject, type JsonObject, parseJson } from "../protocol/jsonrpc.ts";
import type { Wanted } from "./survey.ts";

const text = { type: "string", requiresArg: true } as const;

const PRESETS = { timeout: "30s", "call-timeout": "10m" } as const;

export function inspectFlags(parser: Argv): Argv {
  return parser
    .positional("url", {
      type: "string",
      describe: "URL of an MCP server; for one to be started, end with -- COMMAND",
    })
    .options({
      header: serveFlags.header,
      timeout: { ...text, describe: `how long one answer may take [default: ${PRESETS.timeout}]` },
      call: { ...text, describe: "a tool to call once, and to measure; none is called unless given" },
      args: { ...text, describe: "arguments of that call, a JSON object [default: {}]" },
      "call-timeout": {
        ...text,
        describe: `how long that call may take [default: ${PRESETS["call-timeout"]}]`,
      },
      json: { type: "boolean", describe: "print what was found as JSON, and suggest nothing" },
    });
}

/** What to inspect, and how. */
export interface Inspection {
  readonly config: UpstreamConfig;
  /** The same as a file would have it: environment variables are not filled in. */
  readonly upstream: JsonObject;
  readonly timeoutMs: number;
  readonly call: Wanted | undefined;
  readonly isJson: boolean;
}

/** Reads the flags of `inspect`. @throws ConfigError with all problems */
export async function readInspection(flags: Flags, env: Environment): Promise<Inspection> {
  const problems: Problem[] = [];
  const given = { upstream: flags.url, header: flags.header, "--": flags["--"] };
  const config = await upstreamConfig(given, env, problems);
  const timeoutMs = milliseconds(flags, "timeout", problems);
  const call = wanted(flags, problems);
  if (config === undefined || problems.length > 0) throw new ConfigError(problems);
  return {
    config,
    upstream: upstreamOfFlags(given),
    timeoutMs,
    call,
    isJson: flags.json === true,
  };
}

async function upstreamConfig(
  given: Flags,
  env: Environment,
  problems: Problem[],
): Promise<UpstreamConfig | undefined> {
  const [hasUrl, hasCommand] = [given.upstream !== undefined, given["--"] !== undefined];
  if (hasUrl === hasCommand) {
    const message = hasUrl ? "is one server, and the command behind -- another" : "is needed";
    problems.push({ path: "URL", message: `${message}: give a URL, or -- COMMAND` });
    return undefined;
  }
  try {
    const { config } = await configOfFlags(given, env);
    return config.servers[0]?.upstream;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const { path, message } of error.problems)
      problems.push({ path: path === "--upstream" ? "URL" : path, message });
    return undefined;
  }
}

function milliseconds(flags: Flags, name: keyof typeof PRESETS, problems: Problem[]): number {
  const parsed = duration().safeParse(flags[name] ?? PRESETS[name]);
  if (parsed.success) return parsed.data;
  problems.push({ path: `--${name}`, message: parsed.error.issues[0]?.message ?? "must be a duration" });
  return 0;
}

function wanted(flags: Flags, problems: Problem[]): Wanted | undefined {
  const timeoutMs = milliseconds(flags, "call-timeout", problems);
  const { call: tool, args: json = "{}" } = flags;
  const orphans = ["args", "call-timeout"].filter((name) => flags[name] !== undefined);
  if (tool === undefined) {
    problems.push(...orphans.map((name) => ({ path: `--${name}`, message: "goes with --call TOOL" })));
    return undefined;
  }
  const args = typeof json === "string" ? parseJson(json) : undefined;
  if (typeof tool !== "string") problems.push({ path: "--call", message: "is given more than once" });
  if (!isObject(args))
    problems.push({
      path: "--args",
      // Without what was given: arguments of a tool may be secrets.
      message: `must be a JSON object${typeof json === "string" ? "" : ", got several"}`,
    });
  return typeof tool === "string" && isObject(args) ? { tool, args, timeoutMs } : undefined;
}
