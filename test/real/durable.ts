/** A server that is watched, and gateways in front of it that share a directory and are killed one after the other. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type GatewayProcess, startGatewayProcess } from "../support/gateway-process.ts";
import { ModernClient } from "../support/modern-client.ts";
import type { Received } from "../support/scripted-exchange.ts";
import { type ScriptedServer, startScriptedServer } from "../support/scripted-server.ts";
import { EVERYTHING, form, gate, textResult } from "../support/story.ts";

export interface Durable {
  readonly server: ScriptedServer;
  /** The file that every gateway of the story is started with. */
  readonly config: string;
  /** Lets the calls of `held` end. */
  release(): void;
  /** Starts a gateway on the directory. */
  start(): Promise<{ readonly gateway: GatewayProcess; readonly user: ModernClient }>;
  /** How often a call with this label has reached the server. */
  calls(label: string): number;
}

/**
 * The tools are always tasks: `done` answers at once, `held` when it is released, `stuck` never, and `asking` asks and goes no
 * further. `plain_held` is never a task.
 * @param store a directory of its own unless given
 */
export async function durable(
  limits: Readonly<Record<string, string>> = {},
  store?: string,
): Promise<Durable> {
  const held = gate();
  const server = await startScriptedServer({
    "tools/call": async (call) => {
      const tool = String(call.message.params?.name);
      if (tool === "asking") void call.sse().ask("elicitation/create", form("Who?"));
      if (tool.endsWith("held")) await held.opened;
      if (!["asking", "stuck"].includes(tool))
        call.json(textResult(`${labelOf(call)} →\u2028ö"\\ ${"x".repeat(500)}`));
    },
  });
  onTestFinished(server.close);
  const folder = await mkdtemp(join(tmpdir(), "taskgate-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const config = join(folder, "taskgate.json");
  const settings = {
    listen: { port: 0 },
    admin: { port: 0 },
    store: { url: store ?? `level:${join(folder, "data")}` },
    limits,
    servers: {
      tested: {
        upstream: { url: server.url.href },
        tasks: { mode: "always" },
        tools: [{ match: "plain_*", mode: "never" }],
      },
    },
  };
  await writeFile(config, JSON.stringify(settings));
  return {
    server,
    config,
    release: held.open,
    start: async () => {
      const gateway = await startGatewayProcess(["--config", config]);
      return { gateway, user: new ModernClient(gateway.url, { capabilities: EVERYTHING }) };
    },
    calls: (label) =>
      server.received.filter((exchange) => exchange.method === "tools/call" && labelOf(exchange) === label)
        .length,
  };
}

function labelOf({ message }: Received): unknown {
  return (message.params?.arguments as { label?: unknown } | undefined)?.label;
}
