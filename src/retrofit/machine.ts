import { readdirSync } from "node:fs";
import { posix, win32 } from "node:path";
import type { Environment } from "../config/environment.ts";
import { CLIENTS, type Client, type Platform } from "./clients.ts";

/** Where the program runs. A parameter everywhere, so that one platform can be told of another's files. */
export interface Machine {
  readonly platform: Platform;
  readonly home: string;
  /** The directory in which the user is. */
  readonly cwd: string;
  readonly env: Environment;
  /** What starts this program on this machine: absolute paths, because desktop programs have a short PATH. */
  readonly program: readonly [command: string, ...args: string[]];
}

export interface KnownFile {
  readonly file: string;
  /** Whose the file is: one user's, or a project's and so perhaps everybody's. */
  readonly scope: "user" | "project";
}

/** Where a client's files may be on this machine, whether or not they are there. `*` is any name. */
export function placesOf(client: Client, machine: Machine): readonly KnownFile[] {
  const { user = [], project = [] } = client;
  const own = "linux" in user ? user[machine.platform] : user;
  const files = own.map((template) => filled(template, machine)).filter((file) => file !== undefined);
  const { join } = pathOf(machine);
  return [
    ...[...new Set(files)].map((file) => ({ file, scope: "user" as const })),
    ...project.map((file) => ({ file: join(machine.cwd, file), scope: "project" as const })),
  ];
}

/** The same with every `*` replaced by what is there. */
export function filesOf(client: Client, machine: Machine): readonly KnownFile[] {
  return placesOf(client, machine).flatMap(({ file, scope }) =>
    expanded(file, machine).map((each) => ({ file: each, scope })),
  );
}

/** The client that a file belongs to by its place, with whose it is. */
export function ownerOf(
  file: string,
  machine: Machine,
): { readonly client: Client; readonly scope: KnownFile["scope"] } | undefined {
  const owners = CLIENTS.flatMap((client) => {
    const isHere = placesOf(client, machine).some(
      (place) => place.scope === "user" && matches(place.file, file),
    );
    const isProject = (client.project ?? []).some((end) => matchesEnd(end, file, machine));
    const scope = isHere ? ("user" as const) : ("project" as const);
    return isHere || isProject ? [{ client, scope }] : [];
  });
  return owners.find(({ scope }) => scope === "user") ?? owners[0];
}

/** Where this program keeps what it has to remember. */
export function stateDirectory({ platform, home, env }: Machine): string {
  const { join } = platform === "win32" ? win32 : posix;
  switch (platform) {
    case "win32":
      return join(env.LOCALAPPDATA ?? join(home, "AppData", "Local"), "mcp-taskgate");
    case "darwin":
      return join(home, "Library", "Application Support", "mcp-taskgate");
    case "linux":
      return join(env.XDG_STATE_HOME || join(home, ".local", "state"), "mcp-taskgate");
  }
}

export function pathOf({ platform }: Machine): typeof posix {
  return platform === "win32" ? win32 : posix;
}

/** A path of the table with its home directory and variables; `undefined` if a variable without a default is not set. */
function filled(template: string, machine: Machine): string | undefined {
  const { home, env } = machine;
  let isComplete = true;
  const text = template.replace(/%([A-Z_]+)(?::([^%]*))?%/g, (_, name: string, preset?: string) => {
    const value = env[name] || preset;
    isComplete &&= value !== undefined;
    return value ?? "";
  });
  return isComplete ? pathOf(machine).normalize(text.replace(/^~(?=$|[/\\])/, () => home)) : undefined;
}

/** The files that a path with one `*` in it stands for; a path without one stands for itself. */
function expanded(pattern: string, machine: Machine): readonly string[] {
  if (!pattern.includes("*")) return [pattern];
  const path = pathOf(machine);
  const parts = pattern.split(path.sep);
  const at = parts.findIndex((part) => part.includes("*"));
  const [above, part = "", below] = [parts.slice(0, at).join(path.sep), parts[at], parts.slice(at + 1)];
  return namesIn(above)
    .filter((name) => matches(part, name))
    .map((name) => [above, name, ...below].join(path.sep));
}

const MAX_NAMES = 1_000;

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).sort().slice(0, MAX_NAMES);
  } catch {
    return [];
  }
}

/** Whether a text is a pattern with at most one `*`, which is no separator. */
function matches(pattern: string, text: string): boolean {
  const star = pattern.indexOf("*");
  if (star === -1) return pattern === text;
  const [before, after] = [pattern.slice(0, star), pattern.slice(star + 1)];
  const middle = text.slice(before.length, text.length - after.length);
  return (
    text.length >= pattern.length - 1 &&
    text.startsWith(before) &&
    text.endsWith(after) &&
    !/[/\\]/.test(middle)
  );
}

function matchesEnd(end: string, file: string, machine: Machine): boolean {
  const { sep } = pathOf(machine);
  const parts = end.split("/");
  const last = file.split(sep).slice(-parts.length);
  return last.length === parts.length && parts.every((part, index) => matches(part, last[index] ?? ""));
}
