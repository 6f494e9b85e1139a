/** nginx before a gateway, as its file says; `npm run proxies` has the other proxies, and all that takes minutes. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { Replica } from "../survival/support/replica.ts";
import { startWitness } from "../survival/support/witness.ts";
import { filled, PROGRAMS, type Program } from "./programs.ts";
import { installedVersion, startProxy } from "./proxy.ts";
import { STEPS } from "./story.ts";
import { MARKS, table } from "./table.ts";

const ROOT = join(import.meta.dirname, "../..");
const nginx = PROGRAMS.find(({ name }) => name === "nginx") as Program;
const isMissing = installedVersion(nginx) === undefined;
if (isMissing && process.env.CI) throw new Error("the story behind nginx: there is no nginx");
if (isMissing) console.warn("the story behind nginx: not run, because there is no nginx");

describe.skipIf(isMissing)("behind nginx, with its file of config/proxies", () => {
  test("a client has everything that does not take minutes", { timeout: 120_000 }, async () => {
    const witness = await startWitness();
    onTestFinished(() => witness.stop());
    const tasks = { pollInterval: "100ms", maxPollInterval: "100ms" };
    const gateway = await Replica.open({ upstreams: witness.urls, store: { url: "memory:" }, tasks });
    onTestFinished(() => gateway.close());
    const proxy = await startProxy(nginx, [gateway.port]);
    onTestFinished(() => proxy.stop());
    const scene = { origin: proxy.origin, witness };
    const steps = STEPS.filter(({ isLong }) => !isLong);
    expect(steps.length).toBeGreaterThan(5);
    // Each rejects when it does not go as it should.
    await Promise.all(steps.map((step) => step.run(scene)));
  });

  test("a file that nginx does not take is said to be so", async () => {
    const wrong: Program = { ...nginx, listens: ["listen 80;", () => "listen nowhere:0:0;"] };
    await expect(startProxy(wrong, [1])).rejects.toThrow(
      /nginx does not take config\/proxies\/nginx\.conf: .*nowhere/s,
    );
  });
});

describe.each(PROGRAMS)("the file of $title", (program) => {
  test("names two gateways and one place to listen", async () => {
    const [one, two] = [await filled(program, [1111], 3333), await filled(program, [1111, 2222], 3333)];
    const withoutComments = (text: string) => text.replace(/^\s*#.*$/gm, "");
    expect(one).toContain("1111");
    expect(withoutComments(one)).not.toMatch(/2222|gateway[-_]2/);
    expect(two).toContain("2222");
    expect(withoutComments(two)).not.toMatch(/gateway-\d/);
    expect(two.includes("3333")).toBe(program.listens !== undefined);
  });
});

test("the parts for Kubernetes are YAML, and each says where its lines are documented", () => {
  const text = readFileSync(join(ROOT, "config/proxies/ingress.yaml"), "utf8");
  const documents = parseAllDocuments(text).filter((document) => document.contents !== null);
  expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
  expect(documents.map((document) => document.toJS()?.kind)).toEqual([
    "Ingress",
    "ServersTransport",
    "Ingress",
    "HTTPRoute",
  ]);
  for (const part of text.split(/^---$/m).slice(1)) expect(part).toMatch(/^# .*https:\/\//m);
});

test("an unknown proxy is an error that names those that there are", () => {
  const script = join(import.meta.dirname, "proxies.ts");
  const flags = ["--import", import.meta.resolve("tsx"), script, "--only", "nginx,envoi"];
  const { status, stderr } = spawnSync(process.execPath, flags, { encoding: "utf8" });
  expect(stderr).toContain('--only: there is no proxy "envoi"; expected some of nginx, haproxy, caddy, ');
  expect(status).toBe(2);
});

test("a table has a row for each step and a cell for each proxy, whatever is in it", () => {
  const columns = [
    { title: "one 1.0", cells: new Map([["a", "yes"]]) },
    { title: "two 2.0", cells: new Map([["b", "x|y"]]) },
  ];
  expect(table(["a", "b"], columns).split("\n")).toEqual([
    "|  | one 1.0 | two 2.0 |",
    "| --- | --- | --- |",
    "| a | yes |  |",
    "| b |  | x\\|y |",
  ]);
});

test("the table of the manual is whole: all proxies with their versions, the day, and no row without them", () => {
  const page = readFileSync(join(ROOT, "docs/operations.md"), "utf8");
  const [begin, end] = MARKS.map((mark) => page.indexOf(mark)) as [number, number];
  const kept = page.slice(begin, end);
  expect(kept).toMatch(/^Written by `npm run proxies` on \d{4}-\d{2}-\d{2}, Node v\d+/m);
  const rows = kept.split("\n").filter((line) => line.startsWith("|"));
  const [head = ""] = rows;
  for (const { title } of PROGRAMS) expect(head).toMatch(new RegExp(`\\| ${title} \\d+\\.\\d+`));
  expect(rows.length).toBeGreaterThan(STEPS.length + 2);
  for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(PROGRAMS.length + 3);
});
