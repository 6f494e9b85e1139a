/** `inspect` in this process, and a gateway started from what it prints. */

import { onTestFinished } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { startGateway } from "../../src/gateway.ts";
import { runInspect } from "../../src/inspect/command.ts";
import type { Facts } from "../../src/inspect/facts.ts";
import { createLog } from "../../src/log/log.ts";
import { ModernClient } from "../support/modern-client.ts";

export type Given = URL | readonly string[];
type Flags = Readonly<Record<string, unknown>>;

const NEVER = new Promise<never>(() => {});

/** Runs the command for a URL, or for the words of a command. */
export function run(given: Given, flags: Flags = {}, env: Record<string, string> = {}) {
  const target = given instanceof URL ? { url: given.href } : { "--": given };
  return runInspect({ ...target, ...flags }, env, NEVER);
}

/** What is found out about a server. */
export async function factsOf(given: Given, flags: Flags = {}): Promise<Facts> {
  const { text, complaints, code } = await run(given, { ...flags, json: true });
  if (code !== 0) throw new Error(complaints.join("\n"));
  return JSON.parse(text);
}

/** What is complained of, one line each, with the exit code. */
export async function complaintsOf(given: Given, flags: Flags = {}) {
  const { text, complaints, code } = await run(given, { timeout: "2s", ...flags });
  if (text !== "") throw new Error(`it printed ${text}`);
  return { code, said: complaints.join("\n") };
}

/** The printed file, which `check` has nothing against, and its report. */
export async function fileOf(given: Given, flags: Flags = {}, env: Record<string, string> = {}) {
  const { text, complaints, code } = await run(given, flags, env);
  if (code !== 0) throw new Error(complaints.join("\n"));
  const { config, warnings } = parseConfig(text, env);
  if (warnings.length > 0) throw new Error(JSON.stringify(warnings));
  const [server] = config.servers;
  if (server === undefined) throw new Error("no server");
  return { text, config, server };
}

/** A client of a gateway that was started from a printed file, but for the port and the store. */
export async function clientOf({ config }: Awaited<ReturnType<typeof fileOf>>): Promise<ModernClient> {
  const gateway = await startGateway(
    { ...config, listen: { ...config.listen, port: 0 }, store: { ...config.store, url: "memory:" } },
    { log: createLog("silent") },
  );
  onTestFinished(() => gateway.close());
  return new ModernClient(new URL(gateway.routes[0]?.url ?? ""), { capabilities: {} });
}
