import { existsSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { type Flags, textsOf } from "../config/flags.ts";
import type { Path } from "../config/problems.ts";
import { count } from "../config/report.ts";
import { EXIT } from "../exit-codes.ts";
import { guess } from "../lib/guess.ts";
import { readable } from "../log/one-line.ts";
import { ANY_CLIENT, CLIENTS } from "./clients.ts";
import { type Entry, entriesOf, serverOf } from "./entries.ts";
import { readText, replaceText, UnusableFile } from "./files.ts";
import { FORMATS, type FormatName, formatOf } from "./formats/formats.ts";
import { isStrictJson } from "./formats/json.ts";
import { Unreadable } from "./formats/mapping.ts";
import { gatewayFile } from "./import.ts";
import { keptFinder } from "./kept.ts";
import { Ledger } from "./ledger.ts";
import { underLock } from "./lock.ts";
import { filesOf, type Machine, stateDirectory } from "./machine.ts";
import { type Change, type Plan, planUnwrap, planWrap, type Source } from "./plan.ts";
import { diffLines } from "./show.ts";
import { namedBy, refusal, type Target, targetsOf } from "./target.ts";
import { isWrapped } from "./wrapped.ts";

/** Where the user reads and answers. */
export interface Terminal {
  /** Standard output. */
  print(line: string): void;
  /** Standard error. */
  say(line: string): void;
  /** Asks a question that is answered by yes or no; absent where nobody can answer. */
  readonly ask?: (question: string) => Promise<boolean>;
}

/** A file with what is to be done to it. */
interface Job {
  readonly target: Target;
  readonly source: Source;
  readonly plan: Plan;
}

type Planner = (source: Source, target: Target, isMeant: (entry: Entry) => boolean) => Promise<Plan>;

const SHARED_PROGRAM = ["mcp-taskgate"] as const;
/** Claude Code, VS Code, Copilot CLI and others read one .mcp.json, and Copilot CLI waits for half a minute. */
const COPILOT_MS = 30_000;
/** How often a file is read again that its client writes at the same moment. */
const MAX_TRIES = 5;

export async function runWrap(flags: Flags, machine: Machine, terminal: Terminal): Promise<number> {
  const ledger = new Ledger(stateDirectory(machine));
  const planner: Planner = async (source, { isShared, real }, isMeant) =>
    planWrap(source, isMeant, {
      otherTimeoutMs: isShared && /[\\/]\.mcp\.json$/.test(real) ? COPILOT_MS : undefined,
      program: isShared ? SHARED_PROGRAM : machine.program,
      platform: machine.platform,
      isForced: flags.force === true,
    });
  const jobs = await jobsFor(flags, machine, planner);
  for (const { target, source, plan } of jobs) {
    if (plan.changes.length > 0)
      for (const line of warningsFor(target, source, plan, machine)) terminal.say(line);
  }
  return carryOut(jobs, planner, "wrapped", flags, terminal, {
    before: async (real, text, changes, client) => {
      await ledger.backUp(real, text);
      for (const { entry, undo } of changes) await ledger.keep(real, entry.id, client, undo);
    },
    after: async () => {},
    // What was kept holds secrets, and nothing would ever ask for it.
    failed: async (real, changes) => {
      for (const { entry } of changes) await ledger.forget(real, entry.id);
      await ledger.forgetBackup(real);
    },
  });
}

export async function runUnwrap(flags: Flags, machine: Machine, terminal: Terminal): Promise<number> {
  const ledger = new Ledger(stateDirectory(machine));
  const script = machine.program.at(-1) ?? "";
  /** Where entries were when they were wrapped. */
  const places = new WeakMap<Entry, Path>();
  const planner: Planner = async (source, { real }, isMeant) => {
    const { client, entries } = entriesOf(documentOf(source), source.client, source.format);
    const find = keptFinder(await ledger.keptOf(real), entries, client);
    return planUnwrap(
      source,
      isMeant,
      (entry, isAsWritten) => {
        const kept = find(entry, isAsWritten);
        if (kept !== undefined) places.set(entry, kept.id);
        return kept;
      },
      script,
    );
  };
  const jobs = await jobsFor(flags, machine, planner);
  return carryOut(jobs, planner, "unwrapped", flags, terminal, {
    before: async () => {},
    failed: async () => {},
    after: async (real, { text, client, changes }, format) => {
      for (const { entry } of changes)
        for (const id of [entry.id, places.get(entry) ?? entry.id]) await ledger.forget(real, id);
      const { entries } = entriesOf(documentOf({ text, format }), client, format);
      if (!entries.some((entry) => isWrapped(entry, client, script))) await ledger.forgetBackup(real);
    },
  });
}

/** Lists the files of clients on this machine and the servers in them; never a value of `env` or `headers`. */
export async function runClients(flags: Flags, machine: Machine, terminal: Terminal): Promise<number> {
  const known = CLIENTS.flatMap((client) => filesOf(client, machine).map((file) => ({ ...file, client })));
  const there = known.filter(
    ({ file }, index) => existsSync(file) && known.findIndex((each) => each.file === file) === index,
  );
  const found = await Promise.all(
    there.map(async ({ file, scope, client }) => {
      const common = { client: client.name, file, scope };
      try {
        const source: Source = { text: await readText(file), client, format: formatOf(file) };
        const { entries } = entriesOf(documentOf(source), client, source.format);
        return { ...common, servers: entries.map((entry) => summaryOf(entry, source, machine)) };
      } catch (error) {
        if (!(error instanceof UnusableFile || error instanceof Unreadable)) throw error;
        return { ...common, servers: [], problem: error.message };
      }
    }),
  );
  if (flags.json === true) {
    terminal.print(JSON.stringify(found, null, 2));
    return 0;
  }
  if (found.length === 0) terminal.print("no file of a client that is known was found");
  for (const { client, file, servers, ...rest } of found) {
    terminal.print(`${client}  ${file}`);
    if ("problem" in rest) terminal.print(`  cannot be read: ${rest.problem}`);
    for (const { name, kind, isWrapped, reason } of servers)
      terminal.print(readable(`  ${name}  ${reason ?? kind}${isWrapped ? ", wrapped" : ""}`));
  }
  return 0;
}

/** Prints the file of one gateway in front of every server of a client's file. */
export async function runImport(flags: Flags, machine: Machine, terminal: Terminal): Promise<number> {
  const named = namedBy([...textsOf(flags.file)], flags.client);
  if (named.file === undefined) throw refusal("", "give one file: mcp-taskgate import FILE > taskgate.yaml");
  const [target] = await targetsOf(named, machine);
  if (target === undefined) throw refusal("", "give one file");
  const source = await sourceOf(target);
  const { text, lines } = gatewayFile(source, named.file, machine.platform);
  for (const line of lines) terminal.say(readable(line));
  terminal.print(text);
  return 0;
}

function summaryOf(entry: Entry, { client }: Source, machine: Machine) {
  const server = serverOf(entry, client);
  return {
    name: entry.name,
    kind: server.kind,
    isWrapped: isWrapped(entry, client, machine.program.at(-1)),
    reason: server.kind === "other" ? server.reason : undefined,
  };
}

async function jobsFor(flags: Flags, machine: Machine, planner: Planner): Promise<readonly Job[]> {
  const named = namedBy(textsOf(flags.server), flags.client);
  const targets = await targetsOf(named, machine);
  const sources = await Promise.all(
    targets.map(async (target) => ({ target, source: await sourceOf(target) })),
  );
  const names = sources.flatMap(({ source }) =>
    entriesOf(documentOf(source), source.client, source.format).entries.map(({ name }) => name),
  );
  if (names.length === 0)
    throw refusal("", `${targets.map(({ file }) => file).join(", ")}: has no servers that are known`);
  const { servers } = named;
  if (servers.length === 0 && flags.all !== true)
    throw refusal("", `name servers, or give --all for all of them: ${[...new Set(names)].join(", ")}`);
  if (servers.length > 0 && flags.all === true)
    throw refusal("--all", "means all servers, and some are named as well");
  const unknown = servers.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw refusal(
      "",
      `no server is called ${JSON.stringify(unknown)}${guess(unknown, names)}; there are ${[...new Set(names)].join(", ")}`,
    );
  const isMeant = ({ name }: Entry) => flags.all === true || servers.includes(name);
  return Promise.all(
    sources.map(async ({ target, source }) => ({
      target,
      source,
      plan: await planner(source, target, isMeant),
    })),
  );
}

interface Bookkeeping {
  before(real: string, text: string, changes: readonly Change[], client: string): Promise<void>;
  after(real: string, plan: Plan, format: FormatName): Promise<void>;
  failed(real: string, changes: readonly Change[]): Promise<void>;
}

/** Shows what would be done, asks, and does it. */
async function carryOut(
  jobs: readonly Job[],
  planner: Planner,
  done: string,
  flags: Flags,
  terminal: Terminal,
  bookkeeping: Bookkeeping,
): Promise<number> {
  const isNamed = flags.all !== true;
  for (const { target, plan } of jobs) {
    for (const { name, reason } of plan.skipped)
      terminal.say(readable(`${isNamed ? "error" : "skipped"}: ${name} in ${target.file}: ${reason}`));
    for (const change of plan.changes) {
      for (const notice of change.notices) terminal.say(readable(`note: ${change.entry.name}: ${notice}`));
      for (const line of diffLines(target.file, change)) terminal.print(line);
    }
  }
  if (isNamed && jobs.some(({ plan }) => plan.skipped.length > 0)) return EXIT.unusable;
  const total = jobs.reduce((sum, { plan }) => sum + plan.changes.length, 0);
  if (total === 0) terminal.say("nothing to do");
  if (total === 0 || flags["dry-run"] === true) return 0;
  if (flags.yes !== true) {
    if (terminal.ask === undefined)
      throw refusal("--yes", "is needed where nobody can be asked; nothing was written");
    if (!(await terminal.ask("Write this?"))) {
      terminal.say("nothing was written");
      return 0;
    }
  }
  for (const job of jobs.filter(({ plan }) => plan.changes.length > 0)) {
    await write(job, planner, bookkeeping);
    const { target, plan } = job;
    terminal.say(`${done} ${count(plan.changes.length, "server")} in ${target.file}`);
  }
  return 0;
}

/** Writes what was shown, and nothing else, though other parts of the file may have changed meanwhile. */
async function write({ target, plan }: Job, planner: Planner, bookkeeping: Bookkeeping): Promise<void> {
  const { file, real } = target;
  const paths = plan.changes.map(({ entry }) => String(entry.id));
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const source = await sourceOf(target);
    const now = await planner(source, target, ({ id }) => paths.includes(String(id)));
    const isSame = isDeepStrictEqual(now.changes.map(shown), plan.changes.map(shown));
    if (!isSame)
      throw new UnusableFile(
        `${file}: its servers have changed meanwhile; nothing was written there, run the command again`,
      );
    await bookkeeping.before(real, source.text, now.changes, now.client.name);
    const replace = () => replaceText(real, source.text, now.text);
    const isWritten = await (now.client.locksFile ? underLock(real, replace) : replace()).catch(
      async (error: unknown) => {
        await bookkeeping.failed(real, now.changes);
        throw error;
      },
    );
    if (isWritten) return bookkeeping.after(real, now, source.format);
  }
  await bookkeeping.failed(real, plan.changes);
  throw new UnusableFile(
    `${file}: is being written by another program all the time; close it, and run the command again`,
  );
}

function shown({ before, after }: Change): readonly string[] {
  return [before, after];
}

async function sourceOf({ file, real, client }: Target): Promise<Source> {
  const source: Source = { text: await readText(real), client, format: formatOf(real) };
  try {
    FORMATS[source.format].parse(source.text);
  } catch (error) {
    if (error instanceof Unreadable) throw new UnusableFile(`${file}: ${error.message}`);
    throw error;
  }
  return source;
}

function documentOf({ text, format }: Pick<Source, "text" | "format">): unknown {
  return FORMATS[format].parse(text).value;
}

/** What a user has to know of the file and its client before it is written. */
function warningsFor(
  { file, isShared }: Target,
  { text, format }: Source,
  { client }: Plan,
  machine: Machine,
) {
  const isCommented = client.isStrict === true && format === "json" && !isStrictJson(text);
  const isPassing = !isShared && machine.program.some((word) => /[\\/]_npx[\\/]/.test(word));
  return [
    ...(client === ANY_CLIENT ? [] : (client.notices ?? [])),
    ...(isCommented
      ? [`${client.title} reads no file with comments or trailing commas, and this one has some.`]
      : []),
    ...(isShared
      ? [
          `${file} may be shared: it gets the bare command mcp-taskgate, which everybody who uses it then needs in their PATH.`,
        ]
      : []),
    ...(isPassing
      ? [
          "This program runs from a cache that npm empties at will: install it for good first, with npm install --global.",
        ]
      : []),
  ].map((notice) => `note: ${notice}`);
}
