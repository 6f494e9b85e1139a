/** What a Containerfile says, and what is wrong with ours: read without an engine, so that every run of the tests can. */

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { VERBS } from "../../src/verbs.ts";

export const ROOT = resolve(import.meta.dirname, "../..");
export const CONTAINERFILE = join(ROOT, "config/container/Containerfile");
export const IGNORED = `${CONTAINERFILE}.dockerignore`;
/** The user of the image, as Kubernetes and `chown` are told. */
export const USER = 65_532;

export interface Instruction {
  readonly word: string;
  /** `--from=build` is `{ from: "build" }`. */
  readonly flags: Readonly<Record<string, string>>;
  readonly args: string;
}

export interface Stage {
  readonly base: string;
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
}

/** The stages of a Containerfile, each from its `FROM` on. Comments, and lines that go on after a backslash, are as Docker reads them. */
export function stagesOf(text: string): readonly Stage[] {
  const lines = text
    .replace(/^\s*#.*\n/gm, "")
    .replace(/\\\n/g, " ")
    .split("\n");
  const stages: (Stage & { instructions: Instruction[] })[] = [];
  for (const line of lines.filter((each) => each.trim() !== "")) {
    const [, word = "", rest = ""] = /^\s*(\w+)\s*(.*)$/.exec(line) ?? [];
    const [given = ""] = /^(?:--[\w-]+=\S+\s+)*/.exec(rest) ?? [];
    const flags = Object.fromEntries(
      [...given.matchAll(/--([\w-]+)=(\S+)/g)].map(([, key, value]) => [key, value]),
    );
    const instruction = { word: word.toUpperCase(), flags, args: rest.slice(given.length).trim() };
    const [base = "", , name] = instruction.args.split(/\s+/);
    if (instruction.word === "FROM") stages.push({ base, name, instructions: [] });
    stages.at(-1)?.instructions.push(instruction);
  }
  return stages;
}

/** A list of words in JSON, as `ENTRYPOINT` has it where there is no shell. `undefined`: it is none. */
export function execForm(args: string): readonly string[] | undefined {
  try {
    const words: unknown = JSON.parse(args);
    return Array.isArray(words) && words.every((word) => typeof word === "string") ? words : undefined;
  } catch {
    return undefined;
  }
}

/** Every fault of a Containerfile of ours, a sentence each. */
export function faultsIn(text: string, ignoreFile = readFileSync(IGNORED, "utf8")): readonly string[] {
  const stages = stagesOf(text);
  const [build, run] = stages;
  if (build === undefined || run === undefined || stages.length !== 2)
    return [`there are ${stages.length} stages and not two`];
  const pack = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  return [
    ...stages.flatMap(baseFaults),
    ...build.instructions.flatMap((each) => sourceFaults(each, ignoreFile)),
    ...copyFaults(build, run, pack),
    ...run.instructions.flatMap((each) =>
      each.word === "RUN" ? ["the second stage has no shell to RUN with"] : [],
    ),
    ...startFaults(run, pack),
    ...labelFaults(run, pack),
  ];
}

interface Pack {
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly homepage: string;
  readonly repository: { readonly url: string };
  readonly bin: Readonly<Record<string, string>>;
  readonly files: readonly string[];
}

/** Of the package, and of no use where the gateway only runs. */
const NOT_IN_THE_IMAGE = ["config", "CHANGELOG.md", "SECURITY.md"];
/** Made by the build, and not there before. */
const MADE = ["node_modules", "dist"];

function baseFaults({ base }: Stage): readonly string[] {
  const [, tag = ""] = /(?::([\w.-]+))?(?:@sha256:[0-9a-f]{64})?$/.exec(base) ?? [];
  return [
    ...(tag === "" || tag === "latest" ? [`${base} has no tag that stays what it is`] : []),
    ...(/(?:node:|nodejs)24\b/.test(base) ? [] : [`${base} is not of Node 24`]),
  ];
}

function sourceFaults({ word, flags, args }: Instruction, ignoreFile: string): readonly string[] {
  if (word !== "COPY" || flags.from !== undefined) return [];
  const allowed = ignoreFile.split("\n").filter((line) => line.startsWith("!"));
  return sourcesIn(args).flatMap((source) => [
    ...(existsSync(join(ROOT, source)) ? [] : [`COPY ${source}: there is no such file`]),
    ...(allowed.includes(`!${source}`) ? [] : [`COPY ${source}: the ignore file leaves it out`]),
  ]);
}

/** Everything that the second stage takes is there, and what the package has to run is taken. */
function copyFaults(build: Stage, run: Stage, { files }: Pack): readonly string[] {
  const copied = build.instructions
    .filter(({ word }) => word === "COPY")
    .flatMap(({ args }) => sourcesIn(args));
  const taken = run.instructions.filter(({ word }) => word === "COPY");
  const fromBuild = taken
    .flatMap(({ args }) => sourcesIn(args))
    .filter((source) => source.startsWith("/app/"));
  const names = fromBuild.map((source) => source.slice("/app/".length));
  const isMade = (name: string) =>
    [...MADE, ...copied].some((each) => name === each || name.startsWith(`${each}/`));
  const needed = [
    "package.json",
    "LICENSE",
    "node_modules",
    ...files.filter((name) => !NOT_IN_THE_IMAGE.includes(name)),
  ];
  return [
    ...taken
      .filter(({ flags }) => flags.from !== build.name)
      .map(({ args }) => `COPY ${args}: not from the first stage`),
    ...names.filter((name) => !isMade(name)).map((name) => `COPY /app/${name}: the first stage has none`),
    ...needed.filter((name) => !names.includes(name)).map((name) => `${name} is missing in the second stage`),
  ];
}

function startFaults({ instructions }: Stage, { bin }: Pack): readonly string[] {
  const said = (word: string) => instructions.filter((each) => each.word === word).at(-1)?.args ?? "";
  const cli = ["/nodejs/bin/node", join("/app", bin["mcp-taskgate"] ?? "")];
  const isCli = (words: readonly string[] | undefined) => cli.every((word, index) => words?.[index] === word);
  const check = instructions.find(({ word }) => word === "HEALTHCHECK");
  const asked = execForm(check?.args.replace(/^CMD\s+/, "") ?? "");
  const expected = {
    USER: `${USER}:${USER}`,
    STOPSIGNAL: "SIGTERM",
    VOLUME: "/data",
    WORKDIR: "/data",
    EXPOSE: "8080",
  };
  return [
    ...Object.entries(expected).flatMap(([word, value]) =>
      said(word) === value ? [] : [`${word} ${said(word)}: ${value} was expected`],
    ),
    ...(isCli(execForm(said("ENTRYPOINT")))
      ? []
      : [`ENTRYPOINT does not start ${cli.join(" ")} without a shell`]),
    ...(execForm(said("CMD")) === undefined ? ["CMD is not a list, which takes a shell"] : []),
    ...(isCli(asked) && VERBS.includes(asked?.[2] ?? "")
      ? []
      : ["HEALTHCHECK is no command of the gateway, without a shell"]),
    ...(check?.flags.timeout === "5s"
      ? []
      : ["HEALTHCHECK: --timeout=5s was expected, a second more than health waits"]),
  ];
}

function labelFaults({ base, instructions }: Stage, pack: Pack): readonly string[] {
  const { version, description, license, homepage, repository } = pack;
  const source = repository.url.replace(/^git\+|\.git$/g, "");
  const text = instructions
    .filter(({ word }) => word === "LABEL")
    .map(({ args }) => args)
    .join(" ");
  const labels = Object.fromEntries(
    [...text.matchAll(/([\w.]+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
  );
  const page = /\/blob\/main\/(.+)$/.exec(labels["org.opencontainers.image.documentation"] ?? "")?.[1];
  const expected = {
    version,
    description,
    licenses: license,
    url: homepage,
    source,
    title: "mcp-taskgate",
    "base.name": base.replace(/@.*/, ""),
  };
  return [
    ...Object.entries(expected).flatMap(([key, value]) => {
      const found = labels[`org.opencontainers.image.${key}`];
      return found === value ? [] : [`the label ${key} is ${found}: ${value} was expected`];
    }),
    ...(page !== undefined && existsSync(join(ROOT, page)) ? [] : ["the label documentation leads nowhere"]),
  ];
}

/** All but the last word, which is where they go. */
function sourcesIn(args: string): readonly string[] {
  return args.split(/\s+/).slice(0, -1);
}
