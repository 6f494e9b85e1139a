import { existsSync } from "node:fs";
import { ConfigError } from "../config/problems.ts";
import { guess } from "../lib/guess.ts";
import { ANY_CLIENT, CLIENTS, type Client } from "./clients.ts";
import { realFile } from "./files.ts";
import { filesOf, type KnownFile, type Machine, ownerOf, pathOf, placesOf } from "./machine.ts";

/** A file to work on. */
export interface Target {
  /** The name that the user knows it by. */
  readonly file: string;
  /** Where it is, without symbolic links. */
  readonly real: string;
  readonly client: Client;
  /** Whether others may use the file as well, on other machines. */
  readonly isShared: boolean;
}

/** What the command line names: a client, a file, and servers. */
export interface Named {
  readonly client: string | undefined;
  readonly file: string | undefined;
  readonly servers: readonly string[];
}

/** Takes the first word for a file if it looks like one. */
export function namedBy(words: readonly string[], client: unknown): Named {
  const [first, ...rest] = words;
  const isFile = first !== undefined && /[/\\]|\.(jsonc?|ya?ml|toml|code-workspace)$/i.test(first);
  return {
    client: typeof client === "string" ? client : undefined,
    file: isFile ? first : undefined,
    servers: isFile ? rest : words,
  };
}

/** The files that are meant. @throws ConfigError, UnusableFile */
export async function targetsOf({ client: name, file }: Named, machine: Machine): Promise<readonly Target[]> {
  const client = name === undefined ? undefined : clientNamed(name);
  if (file !== undefined) return [await targetOf(file, client, machine)];
  if (client === undefined)
    throw refusal("", "give a client (--client NAME) or a file; `mcp-taskgate clients` lists what is here");
  const own = filesOf(client, machine).filter(
    ({ scope, file: each }) => scope === "user" && existsSync(each),
  );
  if (own.length === 0) throw refusal("--client", nothingOf(client, machine));
  return Promise.all(own.map(({ file: each }) => targetOf(each, client, machine)));
}

/** @throws ConfigError when there is no such client, or nothing that could be wrapped */
function clientNamed(name: string): Client {
  const wanted = name.toLowerCase();
  const client = CLIENTS.find((each) => each.name === wanted || each.aliases?.includes(wanted));
  if (client === undefined) {
    const names = CLIENTS.map((each) => each.name);
    throw refusal(
      "--client",
      `must be one of ${names.join(", ")}, got ${JSON.stringify(name)}${guess(wanted, names)}`,
    );
  }
  if (client.instead !== undefined) throw refusal("--client", client.instead);
  return client;
}

export function refusal(path: string, message: string): ConfigError {
  return new ConfigError([{ path, message }]);
}

async function targetOf(file: string, client: Client | undefined, machine: Machine): Promise<Target> {
  const full = pathOf(machine).resolve(machine.cwd, file);
  const owner = ownerOf(full, machine);
  const real = await realFile(full);
  const isShared = owner?.scope === "user" ? false : owner !== undefined || isInRepository(real, machine);
  return { file, real, client: client ?? owner?.client ?? ANY_CLIENT, isShared };
}

function isInRepository(file: string, machine: Machine): boolean {
  const { dirname, join } = pathOf(machine);
  for (let at = dirname(file); ; at = dirname(at)) {
    if (existsSync(join(at, ".git"))) return true;
    if (at === dirname(at)) return false;
  }
}

function nothingOf(client: Client, machine: Machine): string {
  const places = placesOf(client, machine);
  const own = places.filter(({ scope }) => scope === "user");
  if (own.length === 0 && client.project === undefined)
    return `${client.title} has no file of its own: name the file that you give it, as in mcp-taskgate wrap FILE --client ${client.name}`;
  const there = filesOf(client, machine).filter(({ file }) => existsSync(file));
  const named = there.length > 0 ? `; ${filesIn(there)} is the project's: name it to change it` : "";
  return `no file of ${client.title} was found${own.length > 0 ? ` at ${filesIn(own)}` : ""}${named}`;
}

function filesIn(files: readonly KnownFile[]): string {
  return files.map(({ file }) => file).join(", ");
}
