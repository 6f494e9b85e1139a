/** The stored calls of the manual for clients that start their servers, done as they are written. */

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { expect, onTestFinished, test } from "vitest";
import { COMMAND, fileWith } from "../cli/process.ts";
import { everything } from "../peers/peers.ts";
import { startEverything } from "../support/everything-process.ts";
import type { Json } from "../support/modern-client.ts";

const MANUAL = readFileSync(new URL("../../docs/clients.md", import.meta.url), "utf8");
const RECIPES: Readonly<Record<string, Recipe>> = Object.assign(
  {},
  ...[...MANUAL.matchAll(/^```json\n(.*?)^```$/gms)]
    .map(([, text]): Json => JSON.parse(text as string))
    .map(({ mcpServers }) => mcpServers),
);

interface Recipe {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What is the reader's own in a stored call, and what a test has instead. */
const OWN: Readonly<Record<string, () => Promise<Readonly<Record<string, readonly string[]>>>>> = {
  everything: async () => ({
    "npx -y @modelcontextprotocol/server-everything": [process.execPath, everything("2025.12.18", "stdio")],
  }),
  reports: async () => ({ "http://127.0.0.1:3001/mcp": [(await startEverything("2025.12.18")).href] }),
  renders: async () => {
    const upstream = { command: process.execPath, args: [everything("2025.12.18", "stdio")] };
    const servers = { renders: { upstream }, others: { upstream: { url: "$" + "{UNSET}" } } };
    return { "/home/ada/taskgate.yaml": [await fileWith("taskgate.yaml", JSON.stringify({ servers }))] };
  },
};

test("every stored call is tried here", () => {
  expect(Object.keys(RECIPES)).toEqual(Object.keys(OWN));
});

test.each(Object.entries(OWN))("%s", async (name, ownOf) => {
  const { command, args, env } = RECIPES[name] as Recipe;
  const [gateway, words] = [[command, ...args.slice(0, 2)], args.slice(2)];
  expect(gateway).toEqual(["npx", "-y", "mcp-taskgate"]);

  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [...COMMAND, ...replaced(words, await ownOf())],
    env: { PATH: dirname(process.execPath), ...env },
    cwd: join(import.meta.dirname, "../.."),
    stderr: "ignore",
  });
  const client = new Client({ name: "test", version: "0" }, { versionNegotiation: { mode: "auto" } });
  onTestFinished(() => client.close());
  await client.connect(transport);
  expect(client.getProtocolEra()).toBe("modern");
  const { content } = await client.callTool({ name: "echo", arguments: { message: name } });
  expect(content).toEqual([{ type: "text", text: `Echo: ${name}` }]);
});

/** Each of the phrases by the words that stand for it; every one of them has to be there. */
function replaced(words: readonly string[], own: Readonly<Record<string, readonly string[]>>): string[] {
  return Object.entries(own).reduce<string[]>(
    (rest, [phrase, instead]) => {
      const parts = phrase.split(" ");
      const at = rest.findIndex((_, index) => parts.every((part, offset) => rest[index + offset] === part));
      expect(at, phrase).toBeGreaterThanOrEqual(0);
      return rest.toSpliced(at, parts.length, ...instead);
    },
    [...words],
  );
}
