/** One file of each client, in the form in which the client writes it. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CLIENTS, type Client } from "../../src/retrofit/clients.ts";
import { type FormatName, formatOf } from "../../src/retrofit/formats/formats.ts";
import type { Machine } from "../../src/retrofit/machine.ts";
import type { Source } from "../../src/retrofit/plan.ts";
import type { Wrapping } from "../../src/retrofit/wrapped.ts";

const FILES = join(import.meta.dirname, "files");

export interface Fixture extends Source {
  readonly name: string;
}

/** `cursor.json.txt`: no other tool takes the file for one of its own. */
export const FIXTURES: readonly Fixture[] = readdirSync(FILES)
  .sort()
  .map((file) => {
    const name = file.slice(0, file.indexOf("."));
    const text = readFileSync(join(FILES, file), "utf8");
    return { name, client: clientOf(name), format: formatOf(file.replace(/\.txt$/, "")), text };
  });

export function fixture(name: string): Fixture {
  const found = FIXTURES.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no fixture of ${name}`);
  return found;
}

export function clientOf(name: string): Client {
  const found = CLIENTS.find((client) => client.name === name);
  if (found === undefined) throw new Error(`no client is called ${name}`);
  return found;
}

export function source(name: string, text: string, format: FormatName = "json"): Source {
  return { client: clientOf(name), format, text };
}

export const SCRIPT = "/opt/mcp-taskgate/dist/cli.js";
export const PROGRAM = ["/usr/bin/node", SCRIPT] as const;

export const WRAPPING: Wrapping = { program: PROGRAM, platform: "linux", isForced: false };

export function machine(more: Partial<Machine> = {}): Machine {
  return { platform: "linux", home: "/home/ada", cwd: "/home/ada/work", env: {}, program: PROGRAM, ...more };
}
