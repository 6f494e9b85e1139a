/**
 * Runs the reverse proxies of `config/proxies` before real gateways, and a client's whole story behind each: behind one gateway, behind two, and
 * while one of two stops or is killed. Prints a table and puts it into docs/operations.md. Takes eight minutes, most of them asleep.
 *
 *   npm run proxies -- [--only nginx,caddy] [--quick]     with either of them it writes nothing
 *
 * Exits with 1 when something went wrong behind a proxy or one is not installed, and with 2 when it cannot do what it was asked.
 */

import { parseArgs } from "node:util";
import { redisMissing } from "../support/redis.ts";
import { openPlace, type Place } from "./place.ts";
import { PROGRAMS, type Program } from "./programs.ts";
import { installedVersion, startProxy } from "./proxy.ts";
import { STEPS, type Step } from "./story.ts";
import { type Damage, reasonOf, STRIKES, type Struck, through } from "./strikes.ts";
import { type Column, keep, table } from "./table.ts";

/** So many proxies are struck at once: more would slow the gateways down, and not only stop them. */
const STRUCK_AT_ONCE = 3;
/** Behind these no stock client may lose a task when gateways are restarted in turn, programs among them. */
const KEEP_ALL: readonly string[] = ["nginx", "haproxy", "caddy"];

const only = chosen();
if (only === undefined) process.exit(2);
const { programs, isQuick, isWhole } = only;
const faults: string[] = [];
const columns = new Map<Program, Map<string, string>>();
for (const program of programs) {
  const version = installedVersion(program);
  if (version === undefined)
    fault(
      `${program.title}: NOT RUN, because ${program.executable} is not installed; Debian has it in ${program.package}`,
    );
  else columns.set(program, new Map());
}

const ends: (() => Promise<unknown>)[] = [];
let ending: Promise<unknown> | undefined;
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)
  process.once(signal, () => void endAll().then(() => process.exit(code)));
process.setMaxListeners(0);
try {
  if (columns.size > 0) await runAll(await openPlace((end) => void ends.push(end)));
} finally {
  await endAll();
}

const steps = [
  ...STEPS.map(({ name }) => name),
  ...STEPS.filter((step) => step.isLong === undefined).map(behindTwo),
  ...STRIKES.flatMap(({ name }) => [tasksIn(name), callsIn(name)]),
].filter((name) => [...columns.values()].some((cells) => cells.has(name)));
const all: Column[] = [...columns].map(([program, cells]) => ({
  title: `${program.title} ${installedVersion(program)}`,
  cells,
}));
const rows = table(steps, all);
console.log(rows);
for (const each of faults) console.log(each);
// Half a table is none.
if (isWhole && columns.size === programs.length) {
  const date = new Date().toISOString().slice(0, 10);
  const faulty =
    faults.length === 0
      ? ""
      : ` What a cell with "no" says:\n\n${faults.map((each) => `- ${each}`).join("\n")}`;
  await keep(
    `Written by \`npm run proxies\` on ${date}, Node ${process.version}, Linux, Debian's packages.${faulty}`,
    rows,
  );
}
process.exit(faults.length === 0 ? 0 : 1);

/** What was asked for; `undefined` when that is nothing that there is, which has been said. */
function chosen() {
  const names = PROGRAMS.map(({ name }) => name);
  try {
    const options = { only: { type: "string" }, quick: { type: "boolean", default: false } } as const;
    const { values } = parseArgs({ options });
    const wanted = values.only?.split(",").map((name) => name.trim());
    const unknown = wanted?.filter((name) => !names.includes(name)) ?? [];
    if (unknown.length > 0)
      throw new Error(
        `--only: there is no proxy ${unknown.map((name) => `"${name}"`).join(", ")}; expected some of ${names.join(", ")}`,
      );
    const missing = redisMissing();
    if (missing !== undefined) throw new Error(missing);
    return {
      programs: PROGRAMS.filter(({ name }) => wanted?.includes(name) ?? true),
      isQuick: values.quick,
      isWhole: wanted === undefined && !values.quick,
    };
  } catch (error) {
    console.error(`npm run proxies: ${(error as Error).message}`);
    return undefined;
  }
}

/** The story behind all proxies side by side, and the strikes meanwhile: their gateways are others. */
async function runAll(place: Place): Promise<void> {
  const ready: Struck[] = [];
  for (const [program, cells] of columns) {
    try {
      const proxy = await startProxy(
        program,
        place.pair.map(({ port }) => port),
      );
      ends.push(() => proxy.stop());
      const hasPrograms = KEEP_ALL.includes(program.name);
      ready.push({ name: program.name, origin: proxy.origin, hasPrograms });
    } catch (error) {
      cells.set("starts", "no");
      fault(`${program.title}: ${reasonOf(error)}`);
    }
  }
  await Promise.all([
    ...[...columns].map(([program, cells]) => runStory(program, cells, place)),
    runPair(ready, place),
  ]);
}

async function runStory(
  program: Program,
  cells: Map<string, string>,
  { single, witness }: Place,
): Promise<void> {
  const proxy = await startProxy(program, [single.port]);
  ends.push(() => proxy.stop());
  const scene = { origin: proxy.origin, witness };
  const long = STEPS.filter(({ isLong }) => isLong && !isQuick);
  const waits = Promise.all(long.map((step) => runStep(step.name, step, program, cells, scene)));
  for (const step of STEPS.filter(({ isLong }) => !isLong))
    await runStep(step.name, step, program, cells, scene);
  await waits;
}

async function runPair(ready: readonly Struck[], place: Place): Promise<void> {
  for (const { name, origin } of ready) {
    const [program, cells] = [...columns].find(([each]) => each.name === name) as [
      Program,
      Map<string, string>,
    ];
    for (const step of STEPS.filter(({ isLong }) => !isLong)) {
      if (step.livesInOneGateway && !program.keepsSessions) cells.set(behindTwo(step), "one gateway only");
      else await runStep(behindTwo(step), step, program, cells, { origin, witness: place.witness });
    }
  }
  if (isQuick) return;
  for (let at = 0; at < ready.length; at += STRUCK_AT_ONCE) {
    for (const strike of STRIKES) {
      const struck = ready.slice(at, at + STRUCK_AT_ONCE);
      try {
        for (const [name, damage] of await through(strike, place, struck)) note(strike.name, name, damage);
      } catch (error) {
        const names = struck.map(({ name }) => name).join(", ");
        fault(`${strike.name}, behind ${names}: ${reasonOf(error)}`);
      }
    }
  }
}

async function runStep(
  name: string,
  step: Step,
  { title }: Program,
  cells: Map<string, string>,
  scene: Parameters<Step["run"]>[0],
): Promise<void> {
  try {
    const seen = await step.run(scene);
    cells.set(name, typeof seen === "string" ? seen : "yes");
  } catch (error) {
    cells.set(name, "**no**");
    fault(`${title}: ${name}: ${reasonOf(error)}`);
  }
  console.error(`${title}: ${name}: ${cells.get(name)}`);
}

function note(
  strike: string,
  proxy: string,
  { followed, lost, answered, refused, broken, ranTwice }: Damage,
): void {
  const [program, cells] = [...columns].find(([{ name }]) => name === proxy) as [
    Program,
    Map<string, string>,
  ];
  cells.set(tasksIn(strike), `${followed - lost.length} of ${followed}`);
  cells.set(callsIn(strike), `${answered}, ${refused}, ${broken.length}, ${ranTwice}`);
  console.error(`${program.title}: ${strike}: ${cells.get(tasksIn(strike))}; ${cells.get(callsIn(strike))}`);
  for (const reason of [...lost, ...new Set(broken)]) console.error(`  ${reason}`);
  if (ranTwice > 0) fault(`${program.title}: ${strike}: ${ranTwice} calls ran twice`);
  if (lost.length > 0 && KEEP_ALL.includes(proxy) && strike === STRIKES[0]?.name)
    fault(`${program.title}: ${strike}: ${lost.join("; ")}`);
}

function behindTwo({ name }: Step): string {
  return `two gateways: ${name}`;
}

function tasksIn(strike: string): string {
  return `${strike}: stock clients with the result of their task`;
}

function callsIn(strike: string): string {
  return `${strike}: calls with a result, refused to be sent again, broken, ran twice`;
}

function fault(text: string): void {
  faults.push(text);
  console.error(text);
}

/** Whoever comes second, after a signal, waits as well: else the process would exit before all has ended. */
function endAll(): Promise<unknown> {
  ending ??= Promise.all(ends.map((end) => end().catch(() => undefined)));
  return ending;
}
