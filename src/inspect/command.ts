import type { Environment } from "../config/environment.ts";
import type { Flags } from "../config/flags.ts";
import { ConfigError } from "../config/problems.ts";
import { failureLines } from "../config/report.ts";
import { createLog } from "../ops/log.ts";
import { oneLine } from "../ops/one-line.ts";
import { within } from "../ops/within.ts";
import { readInspection } from "./flags.ts";
import { inspect } from "./inspect.ts";
import { report } from "./report.ts";
import { suggest } from "./suggestion.ts";
import { Misuse, Unfit } from "./unfit.ts";

/** What the command has to say, and how it ends: 1 when there is no server to stand in front of, 2 for bad flags. */
export interface Outcome {
  /** For standard output: a configuration file whose comments tell what was found, or the facts as JSON. */
  readonly text: string;
  /** For standard error. */
  readonly complaints: readonly string[];
  readonly code: number;
}

const INTERRUPTED = 130;
const UNFIT = 1;
const UNUSABLE = 2;
/** Sessions are ended within that; the end of this process ends whatever processes are left. */
const GOODBYE_MS = 1_000;

/** How to say that the command still works: `say` is called with a line for people each `everyMs`. */
export interface Progress {
  readonly everyMs: number;
  say(line: string): void;
}

/** Runs `inspect` with these flags, until it is done or `stopped`. Never rejects. */
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
    return { text: "", complaints: ["error: interrupted"], code: INTERRUPTED };
  });
  // What ends because it was interrupted fails, but that says nothing of the server.
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
    return { text, complaints: [], code: 0 };
  } catch (error) {
    const hints = error instanceof Unfit ? error.hints.map((hint) => `       ${hint}`) : [];
    const isMisuse = error instanceof ConfigError || error instanceof Misuse;
    const complaints = [...failureLines(error), ...hints].map(oneLine);
    return { text: "", complaints, code: isMisuse ? UNUSABLE : UNFIT };
  } finally {
    clearInterval(ticker);
  }
}
