/** Runs the official conformance suite, which needs a newer Node than the gateway does. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { conformance, newerNode } from "../peers/peers.ts";
import { EXEMPTIONS } from "./exemptions.ts";
import { type Check, complaints } from "./verdict.ts";

/** All but `tasks-status-notifications`, which the suite has no checks for yet. */
export const TASK_SCENARIOS = [
  "tasks-lifecycle",
  "tasks-capability-negotiation",
  "tasks-wire-fields",
  "tasks-request-state-removal",
  "tasks-mrtr-input",
  "tasks-request-headers",
  "tasks-dispatch-and-envelope",
  "tasks-required-task-error",
  "tasks-mrtr-composition",
];

/** How the tools of these scenarios are to be called. */
export const TASK_POLICY = ["greet=never", "failing_job=required", "test_tool_with_task=required"];

/** The revision that is meant unless another is named. */
export const REVISION = "2026-07-28";

const PATIENCE_MS = 120_000;

/** Why the suite cannot be run here; undefined when it can. Without the peers, that is an error in CI and a loud skip elsewhere. */
export function suiteMissing(): string | undefined {
  try {
    newerNode();
    conformance();
    return undefined;
  } catch (error) {
    if (process.env.CI === "true") throw error;
    const why = `The conformance suite is SKIPPED: ${(error as Error).message}`;
    console.warn(why);
    return why;
  }
}

/** Runs one scenario at the revision, also where the suite thinks it does not apply (as it does of extensions). */
export async function runScenario(url: URL, scenario: string): Promise<readonly Check[]> {
  const all = await run(url, ["--scenario", scenario, "--spec-version", REVISION, "--force"]);
  return all.get(scenario) ?? [];
}

/** The suite's own clocks: some calls of `server-stateless` have 600 ms. */
const TRIES = 3;

/**
 * What a scenario leaves to complain about. What it did not pass is run again by itself, twice at most, because the suite gives some calls
 * less time than a busy machine needs for anything.
 * @param first what it found in a run with others
 */
export async function complaintsOf(
  url: URL,
  scenario: string,
  first?: readonly Check[],
): Promise<readonly string[]> {
  const exemptions = EXEMPTIONS.filter((exemption) => exemption.scenario === scenario);
  let left = complaints(first ?? (await runScenario(url, scenario)), exemptions);
  for (let tried = 1; left.length > 0 && tried < TRIES; tried++)
    left = complaints(await runScenario(url, scenario), exemptions);
  return left;
}

/** Runs the frozen set that a revision requires, and what the suite runs beside it without scoring it. */
export const runRequirements = (
  url: URL,
  revision: string = REVISION,
): Promise<ReadonlyMap<string, readonly Check[]>> => run(url, ["--requirements", revision]);

export interface Requirements {
  /** The scenarios that the revision requires of a server. */
  readonly scored: readonly string[];
  /** Those that are run with them but do not count, such as extensions and what the suite's own server cannot pass. */
  readonly unscored: readonly string[];
}

/** The frozen list as the suite ships it. */
export async function requirements(revision: string = REVISION): Promise<Requirements> {
  const file = join(dirname(conformance()), `../requirements/${revision}.yaml`);
  const { server, not_scored: unscored } = parse(await readFile(file, "utf8")) as {
    server: string[];
    not_scored: { scenario: string; leg: string }[];
  };
  return {
    scored: server,
    unscored: unscored.filter(({ leg }) => leg === "server").map(({ scenario }) => scenario),
  };
}

async function run(url: URL, args: readonly string[]): Promise<ReadonlyMap<string, readonly Check[]>> {
  const folder = await mkdtemp(join(tmpdir(), "conformance-"));
  try {
    const command = [conformance(), "server", "--url", url.href, ...args, "--output-dir", folder];
    const suite = spawn(newerNode(), command, { stdio: ["ignore", "pipe", "pipe"], timeout: PATIENCE_MS });
    let said = "";
    for (const stream of [suite.stdout, suite.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
    }
    // Its exit code says whether checks failed, which is for us to judge.
    await once(suite, "close");
    const results = await resultsIn(folder);
    if (results.size === 0) throw new Error(`the suite has left no results\n${said}`);
    return results;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** One folder a scenario: `server-<scenario>-<time>/checks.json`. */
async function resultsIn(folder: string): Promise<ReadonlyMap<string, readonly Check[]>> {
  const results = new Map<string, readonly Check[]>();
  for (const name of await readdir(folder)) {
    const scenario = /^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(name)?.[1];
    if (scenario === undefined) throw new Error(`the suite has left something unknown: ${name}`);
    results.set(scenario, JSON.parse(await readFile(join(folder, name, "checks.json"), "utf8")) as Check[]);
  }
  return results;
}
