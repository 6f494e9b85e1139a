/** What is installed here, and of which release. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const FOLDER = import.meta.dirname;

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const SDKS = ["@modelcontextprotocol/sdk", "@modelcontextprotocol/server"];

/** The absolute path of a folder or file of a server. */
export function installed(folder: string, file = ""): string {
  return join(FOLDER, "node_modules", folder, file);
}

/** Name and release as on npm, whatever the folder is called. */
export function packageOf(folder: string): { readonly name: string; readonly version: string } {
  return manifestOf(installed(folder));
}

/** The SDK that a server runs on, e.g. `1.10.1`. Some carry theirs in a bundle, and say nothing about it. */
export function sdkOf(folder: string): string {
  const { dependencies = {} } = manifestOf(installed(folder));
  const sdk = SDKS.find((name) => name in dependencies);
  if (sdk === undefined) return "bundled";
  const own = installed(folder, `node_modules/${sdk}`);
  return manifestOf(existsSync(own) ? own : installed(sdk)).version;
}

/** The release of a package of the project itself. */
export function versionOf(name: string): string {
  return manifestOf(join(FOLDER, "../../node_modules", name)).version;
}

export function manifestOf(path: string): Manifest {
  return JSON.parse(readFileSync(join(path, "package.json"), "utf8"));
}
