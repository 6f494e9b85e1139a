import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { VERSION } from "../../src/version.ts";
import { FOLDERS } from "../peers/peers.ts";
import { type Line, machine, times } from "./report.ts";

/** One section as it was measured, and on what. */
export interface Recorded {
  readonly title: string;
  readonly date: string;
  /** Of everything that takes part, by name. */
  readonly versions: Readonly<Record<string, string>>;
  readonly machine: string;
  /** What else the machine did: its load average, which counts the bench, before and after. */
  readonly load: { readonly before: number; readonly after: number };
  readonly rounds: number;
  readonly lines: readonly Line[];
}

/** The last recorded runs, by section. A run of some sections leaves those of the others. */
export type RecordedRuns = Readonly<{ [section: string]: Recorded }>;

const MANUAL = new URL("../../docs/performance.md", import.meta.url);
const FILE = new URL("../../docs/performance.json", import.meta.url);
const OPENING = "<!-- what npm run bench -- --record wrote last -->\n";
const CLOSING = "<!-- /bench -->";
/** A change of less than this is noise. */
const NOISE = 1.1;

export function readRecord(): RecordedRuns {
  return JSON.parse(readFileSync(FILE, "utf8"));
}

export function writeRecord(record: RecordedRuns): void {
  writeFileSync(FILE, `${JSON.stringify(record, undefined, 2)}\n`);
  const manual = readFileSync(MANUAL, "utf8");
  const [begin, end] = [manual.indexOf(OPENING), manual.indexOf(CLOSING)];
  if (begin < 0 || end < begin) throw new Error(`docs/performance.md has no ${OPENING.trim()}`);
  const tables = Object.values(record).map(markdown).join("\n");
  writeFileSync(MANUAL, `${manual.slice(0, begin)}${OPENING}\n${tables}\n${manual.slice(end)}`);
}

/** What has become of a ratio since the recorded run; empty for what is not compared, or was not there. */
export function changeSince(recorded: Recorded | undefined): (line: Line) => string {
  return ({ what, ratio }) => {
    const was = recorded?.lines.find((line) => line.what === what)?.ratio;
    if (ratio === undefined || was === undefined) return "";
    const cost = ratio.isMoreBetter ? was.of / ratio.of : ratio.of / was.of;
    const verdict = cost > NOISE ? " WORSE" : cost < 1 / NOISE ? " better" : "";
    return `was ${times(was.of)}, costs ${times(cost)}${verdict}`;
  };
}

export function recorded(
  title: string,
  { rounds, before, lines }: { rounds: number; before: number; lines: readonly Line[] },
): Recorded {
  return {
    title,
    date: new Date().toISOString().slice(0, 10),
    versions: versions(),
    machine: machine(),
    load: { before, after: loadNow() },
    rounds,
    lines,
  };
}

export function loadNow(): number {
  return Math.round(10 * (loadavg()[0] ?? 0)) / 10;
}

function versions(): Recorded["versions"] {
  const own = new URL("../../node_modules", import.meta.url).pathname;
  const peers = `${FOLDERS.peers}/node_modules`;
  const versionOf = (folder: string, name: string) =>
    String(JSON.parse(readFileSync(`${folder}/${name}/package.json`, "utf8")).version);
  const commit = execFileSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" }).trim();
  return {
    "mcp-taskgate": `${VERSION} (${commit})`,
    node: process.versions.node,
    undici: versionOf(own, "undici"),
    "http-proxy": versionOf(own, "http-proxy"),
    "@modelcontextprotocol/server": versionOf(own, "@modelcontextprotocol/server"),
    "@modelcontextprotocol/sdk": versionOf(own, "@modelcontextprotocol/sdk"),
    "mcp-proxy": versionOf(peers, "mcp-proxy"),
    supergateway: versionOf(peers, "supergateway"),
  };
}

function markdown({ title, date, versions, machine, load, rounds, lines }: Recorded): string {
  const all = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const facts = [
    `${date}, ${machine}`,
    `load ${load.before} → ${load.after}`,
    `medians of ${rounds} rounds`,
    all.join(", "),
  ];
  const rows = lines.map(({ what, value }) => `| ${what.trim()} | ${value} |`);
  return `### ${title}\n\n${facts.join("; ")}.\n\n| | |\n|---|---|\n${rows.join("\n")}\n`;
}
