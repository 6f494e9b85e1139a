import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { arch, platform } from "node:os";
import { join } from "node:path";
import { CHROMIUM } from "./browsers.ts";
import { FOLDER, manifestOf, packageOf, sdkOf, versionOf } from "./packages.ts";
import type { Row } from "./row.ts";
import type { Trial } from "./trial.ts";

/** What became of a row: it was tried, or there is a reason why not. */
export type Result = { readonly row: Row } & ({ readonly trial: Trial } | { readonly skipped: string });

export type Verdict =
  | "as expected"
  | "failed"
  | "failed, as known"
  | "works, though listed as known"
  | "skipped";

const HEAD = [
  "server",
  "release",
  "SDK",
  "transport",
  "era found",
  "tools",
  "quick call",
  "call as task",
  "question answered",
  "without the gateway",
  "notes",
];

export function verdictOf(result: Result): Verdict {
  if ("skipped" in result) return "skipped";
  const hasFailed = result.trial.problems.length > 0;
  if (result.row.known === undefined) return hasFailed ? "failed" : "as expected";
  return hasFailed ? "failed, as known" : "works, though listed as known";
}

/** One line of the table. */
export function cellsOf(result: Result): string[] {
  const { row } = result;
  const { name, version } = packageOf(row.folder);
  const first = [name, version, sdkOf(row.folder), row.transport];
  if ("skipped" in result) return [...first, "–", "–", "–", "skipped", "–", "–", result.skipped];
  const { era, tools, quick, tasks, question, direct } = result.trial.findings;
  const notes = [row.notes, row.known].filter((note) => note !== undefined).join("; ");
  return [...first, era, tools, quick, tasks, question, direct, notes];
}

/** The page that is kept in the repository. */
export function pageOf(results: readonly Result[], facts: readonly string[], date: Date): string {
  const rows = [HEAD, HEAD.map(() => "---"), ...results.map(cellsOf)];
  const table = rows.map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`);
  return `# Servers from npm behind the gateway

Written by \`npm run corpus\` on ${date.toISOString().slice(0, 10)}. ${summaryOf(results)}

${facts.join(" · ")}

Each row is a server of its own, started as its documentation says, with the gateway as it is built in front of it. The client is the official
one with a session of the official Tasks extension, speaks 2026-07-28, and never sees anything but the gateway. A call that is done
within 250 ms is answered at once, any other becomes a task; tools that are quicker than that are called as tasks with
\`mode: always\`. A quick call is the first of its session, so opening that is part of its time.

${table.join("\n")}
${problemsOf(results)}`;
}

function problemsOf(results: readonly Result[]): string {
  const lines = results.flatMap((result) => {
    if ("skipped" in result) return [];
    const { name, version } = packageOf(result.row.folder);
    return result.trial.problems.map(
      (problem) => `- ${name} ${version}, ${result.row.transport}: ${problem.replaceAll(/\s+/g, " ")}`,
    );
  });
  return lines.length === 0 ? "" : `\n## What failed\n\n${lines.join("\n")}\n`;
}

export function summaryOf(results: readonly Result[]): string {
  const counts = new Map<Verdict, number>();
  for (const result of results) counts.set(verdictOf(result), (counts.get(verdictOf(result)) ?? 0) + 1);
  const parts = [...counts].map(([verdict, count]) => `${count} ${verdict}`);
  return `${results.length} rows: ${parts.join(", ")}.`;
}

/** On what it was found. */
export function factsOf(): string[] {
  const gateway = manifestOf(join(FOLDER, "../.."));
  const clients = ["@modelcontextprotocol/client", "@modelcontextprotocol/ext-tasks"];
  return [
    `${gateway.name} ${gateway.version}`,
    ...clients.map((name) => `${name} ${versionOf(name)}`),
    `Node ${process.version}`,
    `${platform()} ${arch()}`,
    ...(existsSync(CHROMIUM) ? [chromium()] : []),
  ];
}

/** Without what Debian's script has to say. */
function chromium(): string {
  const said = execFileSync(CHROMIUM, ["--version"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return said.replace(/ built on .*/s, "").trim();
}
