/** The table of clients in the manual, from the table of the program. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CLIENTS, type Client } from "../../src/retrofit/clients.ts";

export const PAGE = fileURLToPath(new URL("../../docs/clients.md", import.meta.url));
const BLOCK = /(?<=<!-- clients -->\n)[\s\S]*?(?=<!-- \/clients -->)/;

/** The page as it is, and as it has to be. */
export function manual(): { readonly written: string; readonly expected: string } {
  const written = readFileSync(PAGE, "utf8");
  return { written, expected: written.replace(BLOCK, () => clientsTable()) };
}

function clientsTable(): string {
  const head = [
    "| client | `--client` | its own files | files in a project | servers |",
    "|---|---|---|---|---|",
  ];
  const rows = CLIENTS.filter(({ instead }) => instead === undefined).map(
    (client) =>
      `| ${client.title} | ${[client.name, ...(client.aliases ?? [])].map(code).join(", ")} | ${filesOf(client)} | ${(client.project ?? []).map(code).join(", ")} | ${client.servers.map((each) => code(each || "the file itself")).join(", ")} |`,
  );
  return `${[...head, ...rows].join("\n")}\n`;
}

function filesOf({ user = [] }: Client): string {
  if (!("linux" in user)) return user.map(place).join(", ");
  const { linux, darwin, win32 } = user;
  const rows = [
    ["Linux", linux],
    ["macOS", darwin],
    ["Windows", win32],
  ] as const;
  return rows.map(([name, files]) => `${name}: ${files.map(place).join(", ")}`).join("; ");
}

/** `%X:d%` as people know it: the default, or the variable where there is none. */
function place(template: string): string {
  const windows = template.startsWith("%APPDATA") || template.startsWith("%LOCALAPPDATA");
  const text = template.replace(/%([A-Z_]+)(?::([^%]*))?%/g, (_, name: string, preset?: string) =>
    windows ? `%${name}%` : (preset ?? `$${name}`),
  );
  return code(text);
}

function code(text: string): string {
  return `\`${text}\``;
}
