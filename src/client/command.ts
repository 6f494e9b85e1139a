import type { Readable, Writable } from "node:stream";
import type { Environment } from "../config/environment.ts";
import { configOfFlags } from "../config/flag-config.ts";
import type { Flags } from "../config/flags.ts";
import { ConfigError, type Problem } from "../config/problems.ts";
import { failureLines } from "../config/report.ts";
import { EXIT } from "../exit-codes.ts";
import { oneLine } from "../log/one-line.ts";
import { isObject, type JsonObject, parseJson } from "../protocol/jsonrpc.ts";
import { ProgressLine } from "./progress-line.ts";
import { Prompt } from "./prompt.ts";
import { CallFailed, type ToolResult, taskSession } from "./task-session.ts";

export interface Terminal {
  readonly input: Readable;
  /** Gets the result and nothing else. */
  readonly output: Writable;
  /** Gets questions, progress and complaints. */
  readonly messages: Writable & { readonly isTTY?: boolean; readonly columns?: number };
}

/** Runs `call` with these flags until there is a result or `stopped` settles, and returns the exit code. Never rejects. */
export async function runCall(
  flags: Flags,
  env: Environment,
  stopped: Promise<unknown>,
  { input, output, messages }: Terminal,
): Promise<number> {
  const stop = new AbortController();
  void stopped.then(() => stop.abort(new Error("interrupted")));
  const progress = new ProgressLine(messages);
  const prompt = new Prompt(input, messages);
  const say = (line: string) => progress.above(line);
  let isCalled = false;
  try {
    const { url, headers, tool, args, isJson } = await readCall(flags, env);
    const onQuestion = (question: Parameters<Prompt["ask"]>[0], signal: AbortSignal) => {
      progress.clear();
      return prompt.ask(question, signal);
    };
    const session = await taskSession(url, { headers, onQuestion, signal: stop.signal });
    try {
      isCalled = true;
      const result = await session.call(tool, args, {
        onProgress: (said) => progress.show(said),
        onTask: (taskId) => say(`The call runs as task ${oneLine(taskId)}; Ctrl-C cancels it.`),
        signal: stop.signal,
      });
      progress.clear();
      output.write(isJson ? `${JSON.stringify(result, null, 2)}\n` : textOf(result));
      return result.isError === true ? EXIT.failed : EXIT.done;
    } finally {
      await session.close();
    }
  } catch (error) {
    progress.clear();
    if (stop.signal.aborted) {
      messages.write(`interrupted: ${isCalled ? "the call is cancelled" : "nothing was called"}\n`);
      return EXIT.interrupted;
    }
    for (const line of failureLines(error)) messages.write(`${oneLine(line)}\n`);
    if (error instanceof ConfigError) return EXIT.unusable;
    return error instanceof CallFailed && error.kind === "unreachable" ? EXIT.unreachable : EXIT.failed;
  } finally {
    prompt.close();
  }
}

/** @throws ConfigError with all problems */
async function readCall(
  { url: given, tool, args: json = "{}", header, json: isJson }: Flags,
  env: Environment,
) {
  const problems: Problem[] = [];
  const args = typeof json === "string" ? parseJson(json) : undefined;
  if (typeof tool !== "string")
    problems.push({ path: "TOOL", message: "is needed: mcp-taskgate call URL TOOL" });
  // Without what was given: arguments of a tool may be secrets.
  if (!isObject(args)) problems.push({ path: "--args", message: "must be one JSON object" });
  const upstream = await configOfFlags({ upstream: given ?? "", header }, env).then(
    ({ config }) => config.servers[0]?.upstream,
    (error: unknown) => {
      if (!(error instanceof ConfigError)) throw error;
      for (const { path, message } of error.problems)
        problems.push({ path: path === "--upstream" ? "URL" : path, message });
    },
  );
  const isWhole = problems.length === 0 && upstream !== undefined && upstream.transport !== "stdio";
  if (!isWhole || typeof tool !== "string" || !isObject(args)) throw new ConfigError(problems);
  const { url, headers } = upstream;
  return { url, headers, tool, args, isJson: isJson === true };
}

/** The texts of a result, a line each at least; what is no text is named. */
function textOf({ content = [], structuredContent }: ToolResult): string {
  const lines = content.map((block) => (block.type === "text" ? String(block.text) : named(block)));
  if (lines.length === 0 && structuredContent !== undefined)
    lines.push(JSON.stringify(structuredContent, null, 2));
  return lines.map((line) => (line.endsWith("\n") ? line : `${line}\n`)).join("");
}

function named({ type, mimeType, uri, resource }: JsonObject): string {
  const what = uri ?? (isObject(resource) ? resource.uri : undefined) ?? mimeType ?? "";
  return `[${oneLine(`${type} ${what}`.trim())}: --json prints it]`;
}
