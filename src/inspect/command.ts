import type { Environment } from "../config/environment.ts";
import type { Flags } from "../config/flags.ts";
import { ConfigError } from "../config/problems.ts";
import { failureLines } from "../config/report.ts";
import { EXIT } from "../exit-codes.ts";
import { within } from "../lib/within.ts";
import { createLog } from "../log/log.ts";
import { oneLine } from "../log/one-line.ts";
import { readInspection } from "./flags.ts";
import { inspect } from "./inspect.ts";
import { report } from "./report.ts";
import { suggest } from "./suggestion.ts";
import { Misuse, Unfit } from "./unfit.ts";

/** The outcome of the command. Exit code 1: there is no server that the gateway could serve; 2: bad flags. */
export interface Outcome {
  /** For standard output: a configuration file with the findings as comments, or the facts as JSON. */
  readonly text: string;
  /** For standard error. */
  readonly complaints: readonly string[];
  readonly code: number;
}

/** How long ending the sessions may take; processes that are left end with this process. */
const GOODBYE_MS = 1_000;

/** Reports that the command still works: calls `say` with a line for people every `everyMs`. */
export interface Progress {
  readonly everyMs: number;
  say(line: string): void;
}

/** Runs `inspect` with these flags until it is done or `stopped` settles. Never rejects. */
export async function runInspect(
  flags: Flags,
  env: Environment,
  stopped: Promise<unknown>,
  progress?: Progress,
): Promise<Outcome> {
  const stop = new AbortController();
  const work = inspected(flags, env, stop.signal, progress);
  const interrupted = stopped.then(async (): Promise<Outcome> => {
    stop.abort(new Error("interrupted"));
    await within(GOODBYE_MS, work);
    return { text: "", complaints: ["error: interrupted"], code: EXIT.interrupted };
  });
  // An interrupted inspection fails, which says nothing about the server.
  const done = work.then((outcome) => (stop.signal.aborted ? interrupted : outcome));
  return Promise.race([done, interrupted]);
}

async function inspected(
  flags: Flags,
  env: Environment,
  signal: AbortSignal,
  progress: Progress | undefined,
): Promise<Outcome> {
  const begun = performance.now();
  let asked = "";
  const onAsk = (method: string) => {
    asked = method;
  };
  const say = () => {
    const seconds = Math.round((performance.now() - begun) / 1_000);
    progress?.say(`still inspecting after ${seconds} s: waiting for the answer to ${asked}`);
  };
  const ticker = progress && setInterval(say, progress.everyMs);
  try {
    const { config, upstream, isJson, timeoutMs, call } = await readInspection(flags, env);
    const facts = await inspect(config, { timeoutMs, signal, log: createLog("silent"), onAsk, call });
    const text = isJson ? `${JSON.stringify(facts, null, 2)}\n` : suggest(facts, upstream, report(facts));
    return { text, complaints: [], code: EXIT.done };
  } catch (error) {
    const hints = error instanceof Unfit ? error.hints.map((hint) => `       ${hint}`) : [];
    const isMisuse = error instanceof ConfigError || error instanceof Misuse;
    const complaints = [...failureLines(error), ...hints].map(oneLine);
    return { text: "", complaints, code: isMisuse ? EXIT.unusable : EXIT.failed };
  } finally {
    clearInterval(ticker);
  }
}
