/**
 * Runs gateways, their store, the server and the clients of one simulation after the other in virtual time, everything that happens
 * drawn from a seed. Says which promise was broken by which seed, and exits with 1 if one was.
 *
 *   npm run simulate -- [--seeds 2000] [--from 1] [--workers 2]
 *   npm run simulate -- --seed 163                     the same again, with a line for every step
 *   npm run simulate -- --mutations [--seeds 1000]     how soon each planted fault is noticed
 *   npm run simulate -- --seed 163 --mutation "a claim on a task is a set"
 */

import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { MUTATIONS } from "./mutations.ts";
import { simulate } from "./world.ts";

/** What one worker has to do: every so-manieth seed, or every so-manieth mutation. */
interface Work {
  readonly first: number;
  readonly step: number;
  readonly from: number;
  readonly seeds: number;
  readonly isOfMutations: boolean;
}

type Report =
  | {
      readonly kind: "done";
      readonly seeds: number;
      readonly events: number;
      readonly kinds: Readonly<Record<string, number>>;
    }
  | { readonly kind: "broken"; readonly seed: number; readonly violation: string }
  | { readonly kind: "mutation"; readonly name: string; readonly seed?: number; readonly violation?: string };

const MAX_BROKEN = 10;
const REPORT_EVERY = 500;

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    from: { type: "string", default: "1" },
    workers: { type: "string", default: String(Math.min(2, availableParallelism())) },
    seed: { type: "string" },
    mutation: { type: "string" },
    mutations: { type: "boolean", default: false },
    work: { type: "string" },
  },
});

if (values.work !== undefined) await work(JSON.parse(values.work) as Work);
else if (values.seed !== undefined) await replay(numberOf("seed", values.seed), values.mutation);
else process.exitCode = (await runAll()) ? 0 : 1;

async function replay(seed: number, name: string | undefined): Promise<void> {
  const mutation = MUTATIONS.find((one) => one.name === name);
  if (name !== undefined && mutation === undefined)
    throw new Error(`--mutation: ${name} is none of ${MUTATIONS.map((one) => one.name).join(", ")}`);
  const { violation, events } = await simulate({ seed, mutation, trace: (line) => console.log(line) });
  console.log(violation === undefined ? `all was well after ${events} events` : `broken: ${violation}`);
  process.exitCode = violation === undefined ? 0 : 1;
}

/** Whether all was well. */
async function runAll(): Promise<boolean> {
  const { mutations: isOfMutations } = values;
  const seeds = numberOf("seeds", values.seeds ?? (isOfMutations ? "1000" : "2000"));
  const from = numberOf("from", values.from);
  const workers = numberOf("workers", values.workers);
  const startedAt = performance.now();
  const kinds = new Map<string, number>();
  let [done, events, broken] = [0, 0, 0];
  const children: ChildProcess[] = [];
  const take = (report: Report) => {
    switch (report.kind) {
      case "done":
        done += report.seeds;
        events += report.events;
        for (const [kind, count] of Object.entries(report.kinds))
          kinds.set(kind, (kinds.get(kind) ?? 0) + count);
        break;
      case "broken":
        broken += 1;
        console.log(`seed ${report.seed}: ${report.violation}`);
        if (broken >= MAX_BROKEN) for (const child of children) child.kill();
        break;
      case "mutation":
        if (report.seed === undefined) broken += 1;
        console.log(
          report.seed === undefined
            ? `not noticed in ${seeds} seeds: ${report.name}`
            : `noticed by seed ${report.seed}: ${report.name} (${report.violation})`,
        );
    }
  };
  const ends = Array.from({ length: workers }, (_, first) => {
    const work: Work = { first, step: workers, from, seeds, isOfMutations };
    const child = fork(import.meta.filename, ["--work", JSON.stringify(work)]);
    children.push(child);
    child.on("message", (report) => take(report as Report));
    return new Promise<boolean>((resolve) => child.once("exit", (code) => resolve(code === 0)));
  });
  const haveEnded = await Promise.all(ends);
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0);
  if (!isOfMutations) {
    const happened = [...kinds].sort(([, one], [, other]) => other - one);
    console.log(`in them: ${happened.map(([kind, count]) => `${kind} ${count}`).join(", ")}`);
    console.log(`${done} seeds, ${events} events, ${broken} broken, ${seconds} s`);
  }
  return broken === 0 && haveEnded.every(Boolean);
}

async function work(task: Work): Promise<void> {
  const onDeserted = () => process.exit(1);
  process.once("disconnect", onDeserted);
  await (task.isOfMutations ? judgeMutations(task) : runSeeds(task));
  process.off("disconnect", onDeserted);
  process.disconnect();
}

async function runSeeds({ first, step, from, seeds }: Work): Promise<void> {
  let report = { seeds: 0, events: 0, kinds: new Map<string, number>() };
  const tell = () => {
    send({ kind: "done", ...report, kinds: Object.fromEntries(report.kinds) });
    report = { seeds: 0, events: 0, kinds: new Map() };
  };
  for (let seed = from + first; seed < from + seeds; seed += step) {
    const { violation, events, kinds } = await simulate({ seed });
    report.seeds += 1;
    report.events += events;
    for (const kind of kinds) report.kinds.set(kind, (report.kinds.get(kind) ?? 0) + 1);
    if (violation !== undefined) send({ kind: "broken", seed, violation });
    if (report.seeds === REPORT_EVERY) tell();
  }
  tell();
}

async function judgeMutations({ first, step, from, seeds }: Work): Promise<void> {
  for (let index = first; index < MUTATIONS.length; index += step) {
    const mutation = MUTATIONS[index] as (typeof MUTATIONS)[number];
    let noticed: { readonly seed: number; readonly violation: string } | undefined;
    for (let seed = from; seed < from + seeds && noticed === undefined; seed += 1) {
      const { violation } = await simulate({ seed, mutation });
      if (violation !== undefined) noticed = { seed, violation };
    }
    send({ kind: "mutation", name: mutation.name, ...noticed });
  }
}

function send(report: Report): void {
  process.send?.(report);
}

function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1)
    throw new Error(`--${name} has to be a positive integer, got ${text}`);
  return number;
}
